#include "cli/attention.h"

#include "base/cut.h"
#include "cli/validity.h"
#include "cli/words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

/* Lines of each kind; the rest is counted. */
#define LINES_MAX 20

#define TEXT_MAX 512

/* What is being listed. */
struct list {
    const struct sheet *sheet;
    time_t now;
    bool has_begun; /* something was printed */
    size_t n;       /* of this kind */
};

/* Counts one more, and returns true when it is to be printed. */
static bool is_due(struct list *list)
{
    if (!list->has_begun) {
        fputc('\n', list->sheet->out);
        list->has_begun = true;
    }
    return list->n++ < LINES_MAX;
}

/* What there is no line for; the next kind begins. */
static void end_kind(struct list *list)
{
    if (list->n > LINES_MAX) {
        sheet_item(list->sheet, 0, SHEET_PLAIN, "", "and %zu more", list->n - LINES_MAX);
    }
    list->n = 0;
}

/* ---- certificates, CAs, CRLs ---- */

static void list_certificate(struct list *list, const struct document_certificate *certificate)
{
    char days[WORDS_MAX];
    enum sheet_colour colour = validity_judge(certificate);
    if (certificate->problem != NULL && is_due(list)) {
        sheet_item(list->sheet, 0, SHEET_RED, "certificate", "%s: the old one stays in use: %s",
                   words_known(certificate->name), certificate->problem);
    }
    if (colour != SHEET_PLAIN && is_due(list)) {
        sheet_item(list->sheet, 0, colour, "certificate", "%s: %s; %s",
                   words_known(certificate->name),
                   words_days(certificate->days_left, certificate->not_after, days),
                   words_known(certificate->file));
    }
}

static void list_crl(struct list *list, const struct document_crl *crl)
{
    time_t due = words_time(crl->next_update);
    bool is_there = crl->issuer != NULL && *crl->issuer != '\0';
    if (!is_there && is_due(list)) {
        sheet_item(list->sheet, 0, SHEET_RED, "crl", "%s: not there yet", words_known(crl->source));
    }
    if (due >= 0 && due <= list->now && is_due(list)) {
        sheet_item(list->sheet, 0, SHEET_RED, "crl", "%s: stale since %s", words_known(crl->source),
                   crl->next_update);
    }
}

static void list_ca(struct list *list, const struct document_ca *ca)
{
    char days[WORDS_MAX];
    if (ca->problem != NULL && is_due(list)) {
        sheet_item(list->sheet, 0, SHEET_RED, "ca", "%s: the old one stays in use: %s",
                   words_known(ca->file), ca->problem);
    }
    for (size_t i = 0; i < ca->n_certificates; i++) {
        const struct document_certificate *certificate = &ca->certificates[i];
        enum sheet_colour colour = validity_judge(certificate);
        if (colour != SHEET_PLAIN && is_due(list)) {
            sheet_item(list->sheet, 0, colour, "ca", "%s: %s; %s",
                       words_known(certificate->subject),
                       words_days(certificate->days_left, certificate->not_after, days),
                       words_known(ca->file));
        }
    }
    for (size_t i = 0; i < ca->n_crls; i++) {
        list_crl(list, &ca->crls[i]);
    }
}

/* ---- services ---- */

static void list_backend(struct list *list, const struct document_service *service)
{
    char days[WORDS_MAX];
    enum sheet_colour colour = validity_judge_backend(service->days_backend);
    if (colour != SHEET_PLAIN && is_due(list)) {
        sheet_item(list->sheet, 0, colour, "backend", "of %s: %s", words_known(service->name),
                   words_days(service->days_backend, service->backend_not_after, days));
    }
}

static void list_held(struct list *list, const struct document_service *service)
{
    if (service->held != NULL && is_due(list)) {
        sheet_item(list->sheet, 0, SHEET_YELLOW, "held back", "%s keeps what it had: %s",
                   words_known(service->name), service->held);
    }
}

/* ---- the last reload ---- */

static void list_reload(struct list *list, const struct document *document)
{
    char ago[WORDS_MAX];
    if (document->reload_result == NULL || strcmp(document->reload_result, "refused") != 0 ||
        !is_due(list)) {
        return;
    }
    sheet_item(list->sheet, 0, SHEET_RED, "reload",
               "refused %s; the old configuration stays in force",
               words_ago(document->reload_time, list->now, ago));
    for (size_t i = 0; i < document->reload_faults.n; i++) {
        if (is_due(list)) {
            sheet_item(list->sheet, 0, SHEET_PLAIN, "", "%s", document->reload_faults.list[i]);
        }
    }
}

void attention_print(const struct document *document, const struct sheet *sheet)
{
    struct list list = {.sheet = sheet, .now = time(NULL)};
    for (size_t i = 0; i < document->n_certificates; i++) {
        list_certificate(&list, &document->certificates[i]);
    }
    end_kind(&list);
    for (size_t i = 0; i < document->n_cas; i++) {
        list_ca(&list, &document->cas[i]);
    }
    end_kind(&list);
    for (size_t i = 0; i < document->n_services; i++) {
        list_backend(&list, &document->services[i]);
    }
    end_kind(&list);
    for (size_t i = 0; i < document->n_services; i++) {
        list_held(&list, &document->services[i]);
    }
    end_kind(&list);
    list_reload(&list, document);
    end_kind(&list);
}

/* ---- the process ---- */

/* Appends a clause to a text, when it is known. */
__attribute__((format(printf, 3, 4))) static void say(char text[static TEXT_MAX], bool is_known,
                                                      const char *format, ...)
{
    char clause[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(clause, sizeof(clause), format, args);
    va_end(args);
    if (is_known) {
        cut_append(text, TEXT_MAX, *text != '\0' ? ", " : "");
        cut_append(text, TEXT_MAX, clause);
    }
}

static void print_process(const struct document *document, const struct sheet *sheet)
{
    char words[WORDS_MAX], text[TEXT_MAX] = "";
    say(text, document->version != NULL, "%s", words_known(document->version));
    say(text, document->pid >= 0, "pid %" PRId64, document->pid);
    say(text, document->uptime_seconds >= 0, "up %s", words_age(document->uptime_seconds, words));
    say(text, document->workers >= 0, "%" PRId64 " worker%s", document->workers,
        document->workers == 1 ? "" : "s");
    sheet_item(sheet, 0, SHEET_PLAIN, "process", "%s", text);
}

static void print_resources(const struct document *document, const struct sheet *sheet)
{
    char words[WORDS_MAX], text[TEXT_MAX] = "";
    say(text, document->resident_bytes >= 0, "%s", words_bytes(document->resident_bytes, words));
    say(text, document->cpu_seconds >= 0, "%.1f s of CPU", document->cpu_seconds);
    say(text, document->descriptors >= 0 && document->max_descriptors >= 0,
        "%" PRId64 "/%" PRId64 " descriptors", document->descriptors, document->max_descriptors);
    say(text, document->dropped >= 0, "%" PRId64 " log line%s dropped", document->dropped,
        document->dropped == 1 ? "" : "s");
    sheet_item(sheet, 0, document->dropped > 0 ? SHEET_YELLOW : SHEET_PLAIN, "resources", "%s",
               text);
}

/* A reload may change nothing, and what is not reloaded may change: certificates. */
static void print_configuration(const struct document *document, const struct sheet *sheet)
{
    char ago[WORDS_MAX], text[TEXT_MAX] = "";
    time_t now = time(NULL);
    bool is_ok = document->reload_result != NULL && strcmp(document->reload_result, "ok") == 0;
    time_t changed = words_time(document->changed), reloaded = words_time(document->reload_time);
    say(text, document->file != NULL, "%s", words_known(document->file));
    say(text, document->generation >= 0, "generation %" PRId64, document->generation);
    say(text, changed >= 0, "changed %s", words_ago(document->changed, now, ago));
    say(text, is_ok && reloaded != changed, "reloaded %s",
        words_ago(document->reload_time, now, ago));
    sheet_item(sheet, 0, SHEET_PLAIN, "config", "%s", text);
}

void attention_print_process(const struct document *document, const struct sheet *sheet)
{
    fputc('\n', sheet->out);
    print_process(document, sheet);
    print_resources(document, sheet);
    print_configuration(document, sheet);
}
