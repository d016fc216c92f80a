#include "cli/overview.h"

#include "cli/table.h"
#include "cli/validity.h"
#include "cli/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of the places for connections, that many in a hundred are worth a colour. */
#define NEARLY_FULL 90

/* The most urgent one first. */
enum state { FAILING, NO_ADDRESS, RESOLVING, OK, UNUSED, N_STATES };

static const struct {
    const char *word;
    enum sheet_colour colour;
} states[N_STATES] = {
    [FAILING] = {"failing", SHEET_RED},        [NO_ADDRESS] = {"no_address", SHEET_RED},
    [RESOLVING] = {"resolving", SHEET_YELLOW}, [OK] = {"ok", SHEET_GREEN},
    [UNUSED] = {"unused", SHEET_DIM},
};

/* N_STATES for one that is not known. */
static size_t find_state(const struct document_service *service)
{
    size_t i = 0;
    while (i < N_STATES &&
           (service->state == NULL || strcmp(service->state, states[i].word) != 0)) {
        i++;
    }
    return i;
}

bool overview_is_fault(const struct document_service *service)
{
    size_t state = find_state(service);
    return state == FAILING || state == NO_ADDRESS;
}

void overview_print_title(const struct document_service *service, const struct sheet *sheet)
{
    size_t state = find_state(service);
    sheet_line(sheet, state < N_STATES ? states[state].colour : SHEET_YELLOW, "%s: %s",
               words_known(service->name), words_known(service->state));
}

/* ---- the verdict ---- */

static void append_count(char *line, size_t size, size_t n, const char *word)
{
    size_t len = strlen(line);
    if (n > 0) {
        snprintf(line + len, size - len, "%s%zu %s", len > 0 ? ", " : "", n, word);
    }
}

static enum sheet_colour colour_of(const struct document *document, size_t n_faults)
{
    if (n_faults > 0) {
        return SHEET_RED;
    }
    bool is_usual =
        document->is_ready && document->state != NULL && strcmp(document->state, "running") == 0;
    return is_usual ? SHEET_GREEN : SHEET_YELLOW;
}

void overview_print_verdict(const struct document *document, const struct sheet *sheet)
{
    size_t counts[N_STATES + 1] = {0};
    char line[256] = "";
    bool is_draining = document->state != NULL && strcmp(document->state, "draining") == 0;
    for (size_t i = 0; i < document->n_services; i++) {
        counts[find_state(&document->services[i])]++;
    }
    for (size_t i = 0; i < N_STATES; i++) {
        append_count(line, sizeof(line), counts[i], states[i].word);
    }
    append_count(line, sizeof(line), counts[N_STATES], "in an unknown state");
    if (document->n_services > 1 && counts[OK] == document->n_services) {
        snprintf(line, sizeof(line), "all ok");
    }
    sheet_line(sheet, colour_of(document, counts[FAILING] + counts[NO_ADDRESS]),
               "%s%zu service%s: %s%s", is_draining ? "shutting down: " : "", document->n_services,
               document->n_services == 1 ? "" : "s", line,
               document->is_ready || is_draining ? "" : "; not ready");
}

void overview_print_faults(const struct document *document, const struct sheet *sheet)
{
    char names[1024] = "";
    size_t n = 0, len = 0;
    for (size_t i = 0; i < document->n_services; i++) {
        const struct document_service *service = &document->services[i];
        if (overview_is_fault(service)) {
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", n > 0 ? ", " : "",
                                    words_known(service->name));
            len = len < sizeof(names) ? len : sizeof(names) - 1;
            n++;
        }
    }
    if (n > 0) {
        sheet_line(sheet, SHEET_RED, "%zu of %zu services fail%s: %s", n, document->n_services,
                   n == 1 ? "s" : "", names);
    }
}

/* ---- the table ---- */

enum { NAME, STATE, ADDRESS, CONNECTIONS, DAYS, FAILURE, N_COLUMNS };

static const struct table_column columns[N_COLUMNS] = {
    [NAME] = {.title = "SERVICE", .may_shrink = true},
    [STATE] = {.title = "STATE"},
    [ADDRESS] = {.title = "ADDRESS", .may_shrink = true},
    [CONNECTIONS] = {.title = "ACTIVE/TOTAL", .is_right = true},
    [DAYS] = {.title = "DAYS LEFT", .is_right = true},
    [FAILURE] = {.title = "LAST FAILURE"},
};

static void add_address(struct table *table, const struct document_service *service)
{
    const struct document_texts *addresses = &service->addresses;
    if (addresses->n < 2) {
        table_cell(table, SHEET_PLAIN, "%s", addresses->n == 1 ? addresses->list[0] : "?");
    } else {
        table_cell(table, SHEET_PLAIN, "%s +%zu", addresses->list[0], addresses->n - 1);
    }
}

static void add_connections(struct table *table, const struct document_service *service)
{
    char active[WORDS_MAX], opened[WORDS_MAX];
    if (service->active < 0 || service->opened < 0) {
        table_cell(table, SHEET_PLAIN, "?");
        return;
    }
    bool is_nearly_full = service->limit > 0 &&
                          service->active / NEARLY_FULL >= service->limit / 100 &&
                          service->active > 0;
    table_cell(table, is_nearly_full ? SHEET_YELLOW : SHEET_PLAIN, "%s/%s",
               words_count(service->active, active), words_count(service->opened, opened));
}

static void add_days(struct table *table, const struct document *document,
                     const struct document_service *service)
{
    struct validity least = validity_least(document, service);
    if (least.whose == NULL) {
        table_cell(table, SHEET_PLAIN, "-");
    } else {
        table_cell(table, least.colour, "%" PRId64 " %s", least.days, least.whose);
    }
}

/* "connect_refused network 12s" */
static void add_failure(struct table *table, const struct document_service *service)
{
    char age[WORDS_MAX];
    const struct document_failure *failure = &service->failure;
    table_cell(table, SHEET_PLAIN, "%s %s %3s", words_known(failure->reason),
               words_known(failure->side), words_age(failure->age_seconds, age));
}

/* What the row has no room for: why it fails, and the last failure where that has no column. */
static void add_note(struct table *table, const struct document_service *service, bool has_column)
{
    char age[WORDS_MAX];
    const struct document_failure *failure = &service->failure;
    bool is_fault = overview_is_fault(service);
    const char *detail = is_fault && failure->detail != NULL ? failure->detail : "";
    if (service->has_failed && !has_column) {
        table_note(table, is_fault ? SHEET_PLAIN : SHEET_DIM, "%s (%s) %s ago%s%s",
                   words_known(failure->reason), words_known(failure->side),
                   words_age(failure->age_seconds, age), *detail != '\0' ? ": " : "", detail);
    } else if (service->has_failed && *detail != '\0') {
        table_note(table, SHEET_PLAIN, "%s", detail);
    } else if (is_fault && service->dns_failure != NULL) {
        table_note(table, SHEET_PLAIN, "%s", service->dns_failure);
    }
}

static void add_service(struct table *table, const struct document *document,
                        const struct document_service *service, bool has_failure)
{
    size_t state = find_state(service);
    table_row(table);
    table_cell(table, overview_is_fault(service) ? SHEET_BOLD : SHEET_PLAIN, "%s",
               words_known(service->name));
    table_cell(table, state < N_STATES ? states[state].colour : SHEET_YELLOW, "%s",
               words_known(service->state));
    add_address(table, service);
    add_connections(table, service);
    add_days(table, document, service);
    if (has_failure && service->has_failed) {
        add_failure(table, service);
    }
    add_note(table, service, has_failure);
}

static struct table *make_table(const struct document *document, bool has_failure)
{
    struct table *table = table_new(columns, has_failure ? N_COLUMNS : FAILURE);
    if (table == NULL) {
        return NULL;
    }
    for (int want_fault = 1; want_fault >= 0; want_fault--) {
        for (size_t i = 0; i < document->n_services; i++) {
            if (overview_is_fault(&document->services[i]) == (want_fault == 1)) {
                add_service(table, document, &document->services[i], has_failure);
            }
        }
    }
    return table;
}

static bool has_any_failure(const struct document *document)
{
    for (size_t i = 0; i < document->n_services; i++) {
        if (document->services[i].has_failed) {
            return true;
        }
    }
    return false;
}

/* The last failure has a column where it fits without cutting anything, else a line below. */
void overview_print_services(const struct document *document, const struct sheet *sheet,
                             size_t max_lines)
{
    bool has_failure = has_any_failure(document);
    struct table *table = make_table(document, has_failure);
    if (table != NULL && has_failure && table_width(table) > sheet->width) {
        table_free(table);
        table = make_table(document, false);
    }
    if (table == NULL) {
        sheet_line(sheet, SHEET_RED, "out of memory");
        return;
    }
    size_t n_left = table_print(table, sheet, max_lines - 1);
    table_free(table);
    if (n_left > 0) {
        sheet_line(sheet, SHEET_DIM, "and %zu more service%s", n_left, n_left == 1 ? "" : "s");
    }
}
