#include "cli/glance.h"

#include "base/cleanup.h"
#include "cli/attention.h"
#include "cli/detail.h"
#include "cli/overview.h"

#include <string.h>

#define VERDICT_LINES 2  /* with the empty one behind it */
#define SMALL_SCREEN  15 /* lines, below which there is nothing but services */

typedef void print_part(const struct document *document, const struct sheet *sheet);

/* What a part comes to. Owned by the caller; NULL when memory is out. */
static char *print_to_memory(print_part *print, const struct document *document,
                             const struct sheet *sheet)
{
    char *text = NULL;
    size_t len;
    struct sheet memory = *sheet;
    memory.folds = 1;
    memory.out = open_memstream(&text, &len);
    if (memory.out == NULL) {
        return NULL;
    }
    print(document, &memory);
    return fclose(memory.out) == 0 ? text : NULL;
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += *text == '\n';
    }
    return n;
}

/* Prints a text on `max` lines at most, the last of which counts what is left out. */
static void print_lines(const char *text, size_t max, const struct sheet *sheet)
{
    size_t n = count_lines(text);
    size_t shown = n <= max ? n : max > 0 ? max - 1 : 0;
    for (size_t i = 0; i < shown; i++) {
        size_t len = strcspn(text, "\n") + 1;
        fwrite(text, 1, len, sheet->out);
        text += len;
    }
    if (shown < n) {
        sheet_line(sheet, SHEET_DIM, "and %zu more line%s", n - shown, n - shown == 1 ? "" : "s");
    }
}

/* The services have half of the screen, and what the others do not need. */
static void print_on_screen(const struct document *document, const struct sheet *sheet)
{
    if (sheet->height < SMALL_SCREEN) {
        overview_print_services(document, sheet,
                                sheet->height > VERDICT_LINES ? sheet->height - VERDICT_LINES : 1);
        return;
    }
    AUTO_FREE char *attention = print_to_memory(attention_print, document, sheet);
    AUTO_FREE char *process = print_to_memory(attention_print_process, document, sheet);
    if (attention == NULL || process == NULL) {
        return;
    }
    size_t half = sheet->height / 2;
    size_t others = VERDICT_LINES + count_lines(process);
    size_t room = half > others ? half - others : 0;
    size_t needed = count_lines(attention);
    others += needed < room ? needed : room;
    overview_print_services(document, sheet,
                            sheet->height > others + half ? sheet->height - others : half);
    print_lines(attention, room, sheet);
    fputs(process, sheet->out);
}

void glance_print(const struct document *document, const struct sheet *sheet, bool on_one_screen)
{
    overview_print_verdict(document, sheet);
    fputc('\n', sheet->out);
    if (on_one_screen) {
        print_on_screen(document, sheet);
        return;
    }
    overview_print_services(document, sheet, SIZE_MAX);
    attention_print(document, sheet);
    attention_print_process(document, sheet);
    if (document->n_services >= sheet->height) {
        overview_print_faults(document, sheet);
    }
}

void glance_print_chosen(const struct document *document, const bool *chosen,
                         const struct sheet *sheet)
{
    bool is_first = true;
    for (size_t i = 0; i < document->n_services; i++) {
        if (!chosen[i]) {
            continue;
        }
        if (!is_first) {
            fputc('\n', sheet->out);
        }
        detail_print(&document->services[i], sheet);
        is_first = false;
    }
}
