#include "tls/standing.h"

#include "base/cut.h"
#include "base/span.h"

#include <stdio.h>
#include <string.h>

static bool is_expired(const struct inspect_facts *facts, time_t now)
{
    return facts->not_after < now;
}

static bool is_early(const struct inspect_facts *facts, time_t now)
{
    return facts->not_before > now;
}

/* The first certificate of our chain of which it is true; NULL: none. */
static const struct inspect_facts *find(const struct standing *standing,
                                        bool (*is)(const struct inspect_facts *, time_t))
{
    for (size_t i = 0; i < standing->n_own; i++) {
        if (is(&standing->own[i], standing->now)) {
            return &standing->own[i];
        }
    }
    return NULL;
}

enum reason standing_reason(const struct standing *standing, enum reason otherwise)
{
    if (find(standing, is_expired) != NULL) {
        return REASON_client_cert_expired;
    }
    if (find(standing, is_early) != NULL) {
        return REASON_own_cert_not_yet_valid;
    }
    if (standing->n_own > 0 && !standing->own[0].is_for_clients) {
        return REASON_client_cert_unsupported;
    }
    return standing->matched ? otherwise : REASON_client_cert_untrusted;
}

static void add_dates(const struct standing *standing, char *text, size_t size)
{
    const struct inspect_facts *expired = find(standing, is_expired);
    const struct inspect_facts *early = find(standing, is_early);
    char date[SPAN_TEXT_MAX], span[SPAN_TEXT_MAX], clause[2 * SPAN_TEXT_MAX + 80];
    if (expired != NULL) {
        snprintf(clause, sizeof(clause), "; %s expired %s ago, on %s",
                 expired == standing->own ? "ours" : "an intermediate of ours",
                 span_format(standing->now - expired->not_after, span),
                 span_format_date(expired->not_after, date));
        cut_append(text, size, clause);
    } else if (early != NULL) {
        time_t ahead = early->not_before - standing->now;
        snprintf(clause, sizeof(clause), "; ours is valid only from %s, %s ahead%s",
                 span_format_date(early->not_before, date), span_format(ahead, span),
                 span_suggests_clock(ahead) ? ": is the clock of this host wrong?" : "");
        cut_append(text, size, clause);
    }
}

static void add_issuers(const struct standing *standing, char *text, size_t size)
{
    cut_append(text, size, "; it accepts certificates issued by ");
    cut_append(text, size, standing->accepted != NULL ? standing->accepted : "others");
    if (standing->n_own > 0) {
        cut_append(text, size, "; ours is issued by ");
    }
    for (size_t i = 0; i < standing->n_own; i++) {
        cut_append(text, size, i > 0 ? ", and that by " : "");
        cut_append(text, size, standing->own[i].issuer);
    }
}

const char *standing_format(const struct standing *standing, char *text, size_t size)
{
    text[0] = '\0';
    add_dates(standing, text, size);
    if (standing->n_own > 0 && !standing->own[0].is_for_clients) {
        cut_append(text, size, "; ours is not for TLS clients (no clientAuth)");
    }
    if (!standing->matched) {
        add_issuers(standing, text, size);
    }
    return text;
}
