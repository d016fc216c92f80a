#include "cli/detail.h"

#include "cli/overview.h"
#include "cli/validity.h"
#include "cli/words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define INDENT 4

/* A figure, or "?". */
static const char *figure(int64_t n, char text[static WORDS_MAX])
{
    if (n == DOCUMENT_UNKNOWN) {
        return "?";
    }
    snprintf(text, WORDS_MAX, "%" PRId64, n);
    return text;
}

static void print_texts(const struct sheet *sheet, const char *label,
                        const struct document_texts *texts)
{
    for (size_t i = 0; i < texts->n; i++) {
        sheet_item(sheet, INDENT, SHEET_PLAIN, i == 0 ? label : "", "%s", texts->list[i]);
    }
}

/* "failed: 3 cert_expired, 1 connect_refused" */
static void print_counts(const struct sheet *sheet, const char *label, const char *prefix,
                         const struct document_counts *counts)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = counts->n > 0 ? open_memstream(&text, &len) : NULL;
    if (out == NULL) {
        return;
    }
    for (size_t i = 0; i < counts->n; i++) {
        fprintf(out, "%s%" PRId64 " %s", i > 0 ? ", " : "", counts->list[i].n,
                counts->list[i].word);
    }
    if (fclose(out) == 0) {
        sheet_item(sheet, INDENT, SHEET_PLAIN, label, "%s%s", prefix, text);
    }
    free(text);
}

/* Nothing for a service that has never had one. */
static void print_warm(const struct sheet *sheet, const struct document_counts *warm)
{
    bool is_used = false;
    for (size_t i = 0; i < warm->n && !is_used; i++) {
        is_used = warm->list[i].n > 0;
    }
    if (is_used) {
        print_counts(sheet, "warm", "", warm);
    }
}

/* " (17%)", or nothing before the first. */
static const char *share_of_resumed(const struct document_service *service,
                                    char text[static WORDS_MAX])
{
    double all = (double)service->full + (double)service->resumed;
    text[0] = '\0';
    if (service->full >= 0 && service->resumed >= 0 && all > 0) {
        snprintf(text, WORDS_MAX, " (%.0f%%)", 100.0 * (double)service->resumed / all);
    }
    return text;
}

static void print_dns(const struct sheet *sheet, const struct document_service *service)
{
    char age[WORDS_MAX];
    if (service->dns_age_seconds >= 0) {
        sheet_item(sheet, INDENT, SHEET_PLAIN, "dns", "answered %s ago",
                   words_age(service->dns_age_seconds, age));
    }
    if (service->dns_failure != NULL) {
        sheet_item(sheet, INDENT, SHEET_YELLOW, service->dns_age_seconds < 0 ? "dns" : "", "%s",
                   service->dns_failure);
    }
}

static void print_traffic(const struct sheet *sheet, const struct document_service *service)
{
    char a[WORDS_MAX], b[WORDS_MAX], c[WORDS_MAX];
    sheet_item(sheet, INDENT, SHEET_PLAIN, "connections",
               "%s active, %s in total, at most %s at once", figure(service->active, a),
               figure(service->opened, b), figure(service->limit, c));
    print_counts(sheet, "ended", "", &service->ended);
    if (service->sent >= 0 && service->received >= 0) {
        sheet_item(sheet, INDENT, SHEET_PLAIN, "traffic", "%s sent, %s received",
                   words_bytes(service->sent, a), words_bytes(service->received, b));
    }
    sheet_item(sheet, INDENT, SHEET_PLAIN, "handshakes", "%s full, %s resumed%s",
               figure(service->full, a), figure(service->resumed, b), share_of_resumed(service, c));
    print_counts(sheet, "", "failed: ", &service->handshakes_failed);
    print_warm(sheet, &service->warm);
    print_counts(sheet, "attempts", "failed: ", &service->attempts_failed);
}

static void print_failure(const struct sheet *sheet, const struct document_service *service)
{
    char age[WORDS_MAX];
    const struct document_failure *failure = &service->failure;
    sheet_item(sheet, INDENT, SHEET_PLAIN, "last failure", "%s (%s) %s ago, at %s",
               words_known(failure->reason), words_known(failure->side),
               words_age(failure->age_seconds, age), words_known(failure->time));
    if (failure->detail != NULL && *failure->detail != '\0') {
        sheet_item(sheet, INDENT, SHEET_PLAIN, "why", "%s", failure->detail);
    }
    if (failure->advice != NULL && *failure->advice != '\0') {
        sheet_item(sheet, INDENT, SHEET_PLAIN, "to do", "%s", failure->advice);
    }
}

static void print_days(const struct sheet *sheet, const char *label, const char *whose,
                       int64_t days)
{
    if (days == DOCUMENT_UNKNOWN) {
        sheet_item(sheet, INDENT, SHEET_PLAIN, label, "%s", whose);
    } else if (days < 0) {
        sheet_item(sheet, INDENT, SHEET_RED, label, "%s: expired", whose);
    } else {
        sheet_item(sheet, INDENT, SHEET_PLAIN, label, "%s: %" PRId64 " day%s left", whose, days,
                   days == 1 ? "" : "s");
    }
}

static void print_trust(const struct sheet *sheet, const struct document_service *service)
{
    char days[WORDS_MAX];
    print_days(sheet, "certificate",
               service->certificate != NULL ? service->certificate : "none is presented",
               service->days_own);
    print_days(sheet, "ca", words_known(service->ca), service->days_ca);
    if (service->days_backend != DOCUMENT_UNKNOWN) {
        sheet_item(sheet, INDENT, validity_judge_backend(service->days_backend), "backend", "%s",
                   words_days(service->days_backend, service->backend_not_after, days));
    }
    if (service->held != NULL) {
        sheet_item(sheet, INDENT, SHEET_YELLOW, "held back", "it keeps what it had: %s",
                   service->held);
    }
}

void detail_print(const struct document_service *service, const struct sheet *sheet)
{
    char ago[WORDS_MAX];
    overview_print_title(service, sheet);
    print_texts(sheet, "listen", &service->listens);
    print_texts(sheet, "address", &service->addresses);
    print_texts(sheet, "endpoints", &service->endpoints);
    print_dns(sheet, service);
    print_traffic(sheet, service);
    if (service->last_success != NULL) {
        sheet_item(sheet, INDENT, SHEET_PLAIN, "last success", "%s, at %s",
                   words_ago(service->last_success, time(NULL), ago), service->last_success);
    }
    if (service->has_failed) {
        print_failure(sheet, service);
    }
    print_trust(sheet, service);
}
