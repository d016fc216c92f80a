#include "cli/table.h"

#include "cli/columns.h"

#include <stdarg.h>
#include <stdlib.h>

#define GAP         2 /* columns between columns */
#define SHRUNK      8 /* what a column keeps at least */
#define NOTE_INDENT 4
#define NOTE_LINES  2

struct cell {
    char *text; /* owned; NULL: empty */
    enum sheet_colour colour;
};

struct row {
    size_t n_cells;
    struct cell note;
    struct cell *cells; /* owned */
};

struct table {
    const struct table_column *columns;
    size_t n_columns;
    struct row *rows;
    size_t n_rows, cap;
    bool is_short; /* the last row could not be made */
    size_t *widths;
};

struct table *table_new(const struct table_column *columns, size_t n_columns)
{
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return NULL;
    }
    table->columns = columns;
    table->n_columns = n_columns;
    table->widths = calloc(n_columns, sizeof(*table->widths));
    if (table->widths == NULL) {
        return table_free(table);
    }
    for (size_t i = 0; i < n_columns; i++) {
        table->widths[i] = columns_of(columns[i].title);
    }
    return table;
}

static void release_row(struct row *row)
{
    for (size_t i = 0; i < row->n_cells; i++) {
        free(row->cells[i].text);
    }
    free(row->cells);
    free(row->note.text);
}

struct table *table_free(struct table *table)
{
    if (table == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < table->n_rows; i++) {
        release_row(&table->rows[i]);
    }
    free(table->rows);
    free(table->widths);
    free(table);
    return NULL;
}

static bool make_room(struct table *table)
{
    size_t cap = table->cap > 0 ? 2 * table->cap : 64;
    if (table->n_rows < table->cap) {
        return true;
    }
    struct row *rows = reallocarray(table->rows, cap, sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    table->rows = rows;
    table->cap = cap;
    return true;
}

void table_row(struct table *table)
{
    struct cell *cells = make_room(table) ? calloc(table->n_columns, sizeof(struct cell)) : NULL;
    table->is_short = cells == NULL;
    if (cells != NULL) {
        table->rows[table->n_rows++] = (struct row){.cells = cells};
    }
}

__attribute__((format(printf, 3, 0))) static void fill(struct cell *cell, enum sheet_colour colour,
                                                       const char *format, va_list args)
{
    free(cell->text);
    cell->text = sheet_text_va(format, args);
    cell->colour = colour;
}

void table_cell(struct table *table, enum sheet_colour colour, const char *format, ...)
{
    struct row *row = table->is_short ? NULL : &table->rows[table->n_rows - 1];
    if (row == NULL || row->n_cells == table->n_columns) {
        return;
    }
    size_t index = row->n_cells++;
    va_list args;
    va_start(args, format);
    fill(&row->cells[index], colour, format, args);
    va_end(args);
    size_t width = row->cells[index].text != NULL ? columns_of(row->cells[index].text) : 0;
    if (width > table->widths[index]) {
        table->widths[index] = width;
    }
}

void table_note(struct table *table, enum sheet_colour colour, const char *format, ...)
{
    if (table->is_short) {
        return;
    }
    va_list args;
    va_start(args, format);
    fill(&table->rows[table->n_rows - 1].note, colour, format, args);
    va_end(args);
}

size_t table_width(const struct table *table)
{
    size_t width = (table->n_columns - 1) * GAP;
    for (size_t i = 0; i < table->n_columns; i++) {
        width += table->widths[i];
    }
    return width;
}

/* The widest of the columns that can give way; NULL when none can. */
static size_t *find_widest(const struct table *table)
{
    size_t *widest = NULL;
    for (size_t i = 0; i < table->n_columns; i++) {
        size_t *width = &table->widths[i];
        if (table->columns[i].may_shrink && *width > SHRUNK &&
            (widest == NULL || *width > *widest)) {
            widest = width;
        }
    }
    return widest;
}

static void shrink(const struct table *table, size_t width)
{
    size_t all = table_width(table);
    size_t *widest;
    while (all > width && (widest = find_widest(table)) != NULL) {
        --*widest;
        all--;
    }
}

/* Columns of a cell: what is left of the line, for cells past its end. */
static size_t limit(size_t width, size_t used, size_t left)
{
    size_t room = used < left ? left - used : 0;
    return width < room ? width : room;
}

/* A line of cells; nothing is written behind the last one that has a text. */
static void print_cells(const struct table *table, const struct sheet *sheet, struct cell *cells,
                        size_t n_cells)
{
    size_t used = 0, pending = 0; /* columns; blanks that are due before the next text */
    for (size_t i = 0; i < n_cells; i++) {
        size_t width = limit(table->widths[i], used, sheet->width);
        size_t columns = 0;
        if (cells[i].text != NULL) {
            columns_cut_middle(cells[i].text, width);
            columns = columns_of(cells[i].text);
        }
        size_t padding = width - columns;
        size_t before = table->columns[i].is_right ? padding : 0;
        if (columns > 0) {
            fprintf(sheet->out, "%*s", (int)(pending + before), "");
            sheet_print(sheet, cells[i].colour, cells[i].text);
            pending = padding - before;
        } else {
            pending += width;
        }
        pending += GAP;
        used += width + GAP;
    }
    fputc('\n', sheet->out);
}

static void print_titles(const struct table *table, const struct sheet *sheet)
{
    struct cell *cells = calloc(table->n_columns, sizeof(*cells));
    for (size_t i = 0; cells != NULL && i < table->n_columns; i++) {
        cells[i] = (struct cell){sheet_text("%s", table->columns[i].title), SHEET_BOLD};
    }
    if (cells != NULL) {
        print_cells(table, sheet, cells, table->n_columns);
    }
    for (size_t i = 0; cells != NULL && i < table->n_columns; i++) {
        free(cells[i].text);
    }
    free(cells);
}

static size_t lines_of(const struct row *row, const struct sheet *sheet)
{
    if (row->note.text == NULL) {
        return 1;
    }
    return columns_of(row->note.text) + NOTE_INDENT > sheet->width ? 1 + NOTE_LINES : 2;
}

size_t table_print(struct table *table, const struct sheet *sheet, size_t max_lines)
{
    shrink(table, sheet->width);
    print_titles(table, sheet);
    size_t lines = 1;
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct row *row = &table->rows[i];
        lines += lines_of(row, sheet);
        if (lines > max_lines) {
            return table->n_rows - i;
        }
        print_cells(table, sheet, row->cells, row->n_cells);
        if (row->note.text != NULL) {
            sheet_fold(sheet, NOTE_INDENT, NOTE_LINES, row->note.colour, "%s", row->note.text);
        }
    }
    return 0;
}
