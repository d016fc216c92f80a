/* What is written for a person: lines that never wrap by themselves, whatever the width of the
 * terminal. All text goes through here, and is made fit for a terminal: what an agent tells of
 * certificates and backends may be anyone's words. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SHEET_UNLIMITED SIZE_MAX

enum sheet_colour {
    SHEET_PLAIN = 0,
    SHEET_BOLD = 1,
    SHEET_DIM = 2,
    SHEET_RED = 31,
    SHEET_GREEN = 32,
    SHEET_YELLOW = 33,
};

struct sheet {
    FILE *out;
    size_t width;  /* columns, or SHEET_UNLIMITED */
    size_t height; /* lines of the terminal, or SHEET_UNLIMITED */
    size_t folds;  /* lines that a sheet_item() may take */
    bool in_colour;
};

/* A sheet for stdout: as wide and as high as the terminal; unlimited when it is none. In colour
 * when it is one that can, and NO_COLOR is not set. */
struct sheet sheet_of_stdout(void);

/* What printf(3) would write, fit for a terminal. Owned by the caller, with COLUMNS_CUT_MORE bytes
 * to spare. NULL when memory is out. */
char *sheet_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *sheet_text_va(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* Prints a text that came from sheet_text(), in colour. */
void sheet_print(const struct sheet *sheet, enum sheet_colour colour, const char *text);

/* A line, cut at its end where it does not fit. */
void sheet_line(const struct sheet *sheet, enum sheet_colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A label in colour, and the text behind it, aligned and folded. An empty label continues the one
 * above. */
void sheet_item(const struct sheet *sheet, size_t indent, enum sheet_colour colour,
                const char *label, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A text, folded, every line of it indented; at most `max_lines`, the last one cut. */
void sheet_fold(const struct sheet *sheet, size_t indent, size_t max_lines,
                enum sheet_colour colour, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
