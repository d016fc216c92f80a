/* A table of texts with aligned columns. It is as wide as what is in it, and where that is too wide
 * the columns that may shrink give way, the widest first: what they hold is cut in its middle. */
#pragma once

#include "cli/sheet.h"

#include <stdbool.h>
#include <stddef.h>

struct table_column {
    const char *title;
    bool is_right;   /* aligned so: figures */
    bool may_shrink; /* but not below 8 columns */
};

struct table;

/* Makes a table without rows. `columns` is borrowed. NULL when memory is out. */
struct table *table_new(const struct table_column *columns, size_t n_columns);
struct table *table_free(struct table *table); /* accepts NULL; returns NULL */

/* Begins a row, with no cell yet. A table that is out of memory loses what does not fit. */
void table_row(struct table *table);

/* Adds the next cell to the last row. */
void table_cell(struct table *table, enum sheet_colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a text below the last row, which is folded to two lines at most. */
void table_note(struct table *table, enum sheet_colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Columns that it takes without shrinking. */
size_t table_width(const struct table *table);

/* Prints titles and rows, on `max_lines` lines at most. Returns how many rows were left out. */
size_t table_print(struct table *table, const struct sheet *sheet, size_t max_lines);
