#include "cli/validity.h"

#include "cli/words.h"

#include <string.h>

#define DAY     86400
#define MONTH   30 /* days */
#define WEEK    7
#define BACKEND 3

/* Days; those of a certificate that lives for ever where that is not known. */
static int64_t lifetime_of(const struct document_certificate *certificate)
{
    time_t from = words_time(certificate->not_before), to = words_time(certificate->not_after);
    return from >= 0 && to > from ? (to - from) / DAY : INT64_MAX;
}

enum sheet_colour validity_judge(const struct document_certificate *certificate)
{
    int64_t lifetime = lifetime_of(certificate);
    int64_t yellow = lifetime / 3 < MONTH ? lifetime / 3 : MONTH;
    int64_t red = lifetime / 10 < WEEK ? lifetime / 10 : WEEK;
    if (certificate->days_left == DOCUMENT_UNKNOWN || certificate->days_left >= yellow) {
        return SHEET_PLAIN;
    }
    return certificate->days_left < red ? SHEET_RED : SHEET_YELLOW;
}

enum sheet_colour validity_judge_backend(int64_t days)
{
    if (days == DOCUMENT_UNKNOWN || days >= BACKEND) {
        return SHEET_PLAIN;
    }
    return days < 0 ? SHEET_RED : SHEET_YELLOW;
}

static enum sheet_colour judge_own(const struct document *document, const char *name, int64_t days)
{
    struct document_certificate own = {.days_left = days};
    for (size_t i = 0; name != NULL && i < document->n_certificates; i++) {
        const struct document_certificate *certificate = &document->certificates[i];
        if (certificate->name != NULL && strcmp(certificate->name, name) == 0) {
            own.not_before = certificate->not_before;
            own.not_after = certificate->not_after;
        }
    }
    return validity_judge(&own);
}

static void offer(struct validity *least, int64_t days, const char *whose)
{
    if (days != DOCUMENT_UNKNOWN && (least->whose == NULL || days < least->days)) {
        least->days = days;
        least->whose = whose;
    }
}

struct validity validity_least(const struct document *document,
                               const struct document_service *service)
{
    struct validity least = {0};
    offer(&least, service->days_own, "own");
    offer(&least, service->days_ca, "ca");
    offer(&least, service->days_backend, "backend");
    if (least.whose == NULL) {
        return least;
    }
    if (strcmp(least.whose, "own") == 0) {
        least.colour = judge_own(document, service->certificate, least.days);
    } else if (strcmp(least.whose, "ca") == 0) {
        least.colour = validity_judge(&(struct document_certificate){.days_left = least.days});
    } else {
        least.colour = validity_judge_backend(least.days);
    }
    return least;
}
