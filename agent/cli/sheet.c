#include "cli/sheet.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "cli/columns.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Less is not worth aligning anything for. */
#define WIDTH_LEAST    20
#define WIDTH_STANDARD 80

#define LABEL_WIDTH 13 /* longer than any label */

static bool takes_colour(void)
{
    const char *term = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");
    return (no_colour == NULL || *no_colour == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}

struct sheet sheet_of_stdout(void)
{
    struct sheet sheet = {.out = stdout,
                          .width = SHEET_UNLIMITED,
                          .height = SHEET_UNLIMITED,
                          .folds = SHEET_UNLIMITED};
    struct winsize size;
    if (!isatty(STDOUT_FILENO)) {
        return sheet;
    }
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    sheet.width = is_known ? size.ws_col : WIDTH_STANDARD;
    sheet.width = sheet.width > WIDTH_LEAST ? sheet.width : WIDTH_LEAST;
    sheet.height = is_known && size.ws_row > 0 ? size.ws_row : SHEET_UNLIMITED;
    sheet.in_colour = takes_colour();
    return sheet;
}

char *sheet_text_va(const char *format, va_list args)
{
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    char *roomy = len >= 0 ? realloc(text, (size_t)len + 1 + COLUMNS_CUT_MORE) : NULL;
    if (roomy == NULL) {
        free(len >= 0 ? text : NULL);
        return NULL;
    }
    escape_blank(roomy);
    return roomy;
}

char *sheet_text(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = sheet_text_va(format, args);
    va_end(args);
    return text;
}

void sheet_print(const struct sheet *sheet, enum sheet_colour colour, const char *text)
{
    if (sheet->in_colour && colour != SHEET_PLAIN && *text != '\0') {
        fprintf(sheet->out, "\033[%dm%s\033[0m", (int)colour, text);
    } else {
        fputs(text, sheet->out);
    }
}

void sheet_line(const struct sheet *sheet, enum sheet_colour colour, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTO_FREE char *text = sheet_text_va(format, args);
    va_end(args);
    if (text != NULL) {
        columns_cut_end(text, sheet->width);
        sheet_print(sheet, colour, text);
    }
    fputc('\n', sheet->out);
}

/* How many bytes of a text go on one line: up to a blank, unless there is none. */
static size_t fold_at(const char *text, size_t columns)
{
    size_t fits = columns_fit(text, columns);
    size_t at = fits;
    if (text[fits] == '\0') {
        return fits;
    }
    while (at > 0 && text[at] != ' ') {
        at--;
    }
    if (at > 0) {
        return at;
    }
    return fits > 0 ? fits : strlen(text); /* a character wider than the line */
}

/* Prints the lines of a text: the first one where the cursor is, the others below it. */
static void print_folded(const struct sheet *sheet, size_t indent, size_t max_lines,
                         enum sheet_colour colour, char *text)
{
    size_t columns = sheet->width > indent + 1 ? sheet->width - indent : 1;
    while (max_lines > 1 && columns_of(text) > columns) {
        size_t len = fold_at(text, columns);
        char *rest = text + len + strspn(text + len, " ");
        AUTO_FREE char *line = sheet_text("%.*s", (int)len, text);
        sheet_print(sheet, colour, line != NULL ? line : "");
        fprintf(sheet->out, "\n%*s", (int)indent, "");
        text = rest;
        max_lines--;
    }
    columns_cut_end(text, columns);
    sheet_print(sheet, colour, text);
    fputc('\n', sheet->out);
}

void sheet_item(const struct sheet *sheet, size_t indent, enum sheet_colour colour,
                const char *label, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTO_FREE char *text = sheet_text_va(format, args);
    va_end(args);
    fprintf(sheet->out, "%*s", (int)indent, "");
    sheet_print(sheet, colour, label);
    fprintf(sheet->out, "%*s", LABEL_WIDTH - (int)strlen(label), "");
    if (text != NULL) {
        print_folded(sheet, indent + LABEL_WIDTH, sheet->folds, SHEET_PLAIN, text);
    }
}

void sheet_fold(const struct sheet *sheet, size_t indent, size_t max_lines,
                enum sheet_colour colour, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    AUTO_FREE char *text = sheet_text_va(format, args);
    va_end(args);
    fprintf(sheet->out, "%*s", (int)indent, "");
    if (text != NULL) {
        print_folded(sheet, indent, max_lines, colour, text);
    }
}
