#include "probe/chains.h"

#include "base/span.h"

#include <string.h>

#define CAS_TOLD 8 /* a bundle may have hundreds */

/* "89 days left, until 2027-02-18" */
static void print_dates(const struct page *page, const struct inspect_facts *facts)
{
    char date[SPAN_TEXT_MAX], span[SPAN_TEXT_MAX];
    long days = inspect_days_left(facts, page->now);
    bool is_early = page->now < facts->not_before;
    time_t when = is_early ? facts->not_before : facts->not_after;
    span_format_day(when, date);
    if (is_early) {
        page_say(page, "valid only from %s, %s ahead", date, span_format(when - page->now, span));
    } else if (days < 0) {
        page_say(page, "expired %s ago, on %s", span_format(page->now - when, span), date);
    } else {
        page_say(page, "%ld day%s left, until %s", days, days == 1 ? "" : "s", date);
    }
}

static const char *or_empty(const char *name)
{
    return *name != '\0' ? name : "(empty)";
}

static void print_issuer(const struct page *page, const struct inspect_facts *facts)
{
    if (strcmp(facts->subject, facts->issuer) == 0) {
        page_say(page, "self-signed; ");
    } else {
        page_say(page, "issued by %s; ", or_empty(facts->issuer));
    }
}

/* `names`: NULL where they are not worth telling. */
static void print_certificate(const struct page *page, const char *label,
                              const struct inspect_facts *facts, const char *names, bool is_top)
{
    page_begin(page, label);
    page_say(page, "%s; ", or_empty(facts->subject));
    if (names != NULL) {
        page_say(page, "%s%s; ", *names != '\0' ? "for " : "no subjectAltName", names);
    }
    if (is_top) {
        print_issuer(page, facts);
    }
    if (report_is_worth_a_mark(facts, page->now)) {
        page_colour(page, PAGE_YELLOW);
        print_dates(page, facts);
        page_say(page, " (!)");
        page_colour(page, PAGE_PLAIN);
    } else {
        print_dates(page, facts);
    }
    page_end(page);
}

void chains_print_backend(const struct page *page, const struct evidence *evidence)
{
    for (size_t i = 0; i < evidence->n_chain; i++) {
        const struct inspect_facts *facts = &evidence->chain[i];
        print_certificate(page, i == 0 ? "backend" : "", facts, i == 0 ? facts->names : NULL,
                          i + 1 == evidence->n_chain);
    }
}

void chains_print_trust(const struct page *page, const struct report_service *service)
{
    for (size_t i = 0; i < service->n_cas && i < CAS_TOLD; i++) {
        print_certificate(page, i == 0 ? "we trust" : "", &service->cas[i], NULL, false);
    }
    if (service->n_cas > CAS_TOLD) {
        page_line(page, "", "and %zu more", service->n_cas - CAS_TOLD);
    }
    if (service->n_cas == 0) {
        page_line(page, "we trust", "the system's CAs");
    }
}

void chains_print_ours(const struct page *page, const struct report_service *service)
{
    for (size_t i = 0; i < service->n_own; i++) {
        const struct inspect_facts *facts = &service->own[i];
        print_certificate(page, i == 0 ? "ours" : "", facts,
                          facts->names[0] != '\0' ? facts->names : NULL, i + 1 == service->n_own);
    }
    if (service->n_own == 0) {
        page_line(page, "ours", "none: tls_mode = tls presents no certificate");
    }
}

void chains_print_accepted(const struct page *page, const struct report_service *service,
                           const struct evidence *evidence)
{
    if (!evidence->asked) {
        return;
    }
    if (evidence->accepted == NULL) {
        page_line(page, "accepts", "the backend did not name the issuers that it accepts");
        return;
    }
    page_begin(page, "accepts");
    page_say(page, "certificates issued by %s", evidence->accepted);
    bool is_told = strstr(service->verdict.detail, evidence->accepted) != NULL;
    size_t n_told = evidence->issuer_matched || is_told ? 0 : service->n_own;
    for (size_t i = 0; i < n_told; i++) {
        page_say(page, "%s by %s", i == 0 ? "; ours is issued" : ", and that",
                 or_empty(service->own[i].issuer));
    }
    page_end(page);
}
