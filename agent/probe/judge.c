#include "probe/judge.h"

#include "base/span.h"
#include "tls/standing.h"

#include <stdio.h>
#include <string.h>

/* Our certificate as the backend behind this endpoint sees it. */
static struct standing standing_of(const struct report_service *service,
                                   const struct report_endpoint *endpoint, time_t now)
{
    return (struct standing){
        .own = service->own,
        .n_own = service->n_own,
        .matched = !endpoint->evidence.asked || endpoint->evidence.issuer_matched,
        .accepted = endpoint->evidence.accepted,
        .now = now,
    };
}

/* ---- the verdict ---- */

static void judge_names(struct report_service *service)
{
    char detail[FAILURE_DETAIL_MAX] = "";
    for (size_t i = 0; i < service->n_hosts; i++) {
        const struct report_host *host = &service->hosts[i];
        size_t len = strlen(detail);
        snprintf(detail + len, sizeof(detail) - len, "%s%s: %s", i > 0 ? "; " : "",
                 host->address->host, host->failure != NULL ? host->failure : "no address");
    }
    failure_set(&service->verdict, REASON_dns_failed, "%s", detail);
}

/* nginx completes the handshake with any certificate or none, and says what it thinks of it by an
 * answer of HTTP 400. */
static void judge_complaint(struct report_service *service, const struct report_endpoint *endpoint,
                            time_t now)
{
    char ours[FAILURE_DETAIL_MAX];
    struct standing standing = standing_of(service, endpoint, now);
    if (service->http.complaint == COMPLAINT_BAD_CERTIFICATE) {
        failure_set_by_peer(&service->verdict,
                            standing_reason(&standing, REASON_client_cert_untrusted),
                            "it answers HTTP 400 \"The SSL certificate error\"%s",
                            standing_format(&standing, ours, sizeof(ours)));
        return;
    }
    failure_set_by_peer(&service->verdict, REASON_client_cert_required,
                        "it answers HTTP 400 \"No required SSL certificate was sent\"%s",
                        service->n_own == 0        ? "; none is presented (tls_mode = tls)"
                        : endpoint->evidence.asked ? "; ours was not sent"
                                                   : "; it did not ask for one in the handshake");
}

/* A link that works in spite of our certificate will not do so for long. */
static void judge_own(struct report_service *service, time_t now)
{
    char date[SPAN_TEXT_MAX], span[SPAN_TEXT_MAX];
    for (size_t i = 0; i < service->n_own && service->verdict.reason == REASON_ok; i++) {
        const struct inspect_facts *own = &service->own[i];
        if (own->not_after < now) {
            failure_set(&service->verdict, REASON_own_cert_expired,
                        "%s expired %s ago, on %s; the backend has not refused it", own->subject,
                        span_format(now - own->not_after, span),
                        span_format_date(own->not_after, date));
        } else if (own->not_before > now) {
            bool is_clock = span_suggests_clock(own->not_before - now);
            failure_set(&service->verdict, REASON_own_cert_not_yet_valid,
                        "%s is valid from %s, %s ahead%s; the backend has not refused it",
                        own->subject, span_format_date(own->not_before, date),
                        span_format(own->not_before - now, span),
                        is_clock ? ": is the clock of this host wrong?" : "");
        }
    }
}

/* There was a request, and no answer. */
static void judge_silence(struct report_service *service)
{
    const struct report_http *http = &service->http;
    char text[ADDR_TEXT_MAX];
    enum reason reason = http->is_no_agent ? REASON_connect_refused
                         : http->timed_out ? REASON_idle_timeout
                                           : REASON_upstream_reset;
    failure_set(&service->verdict, reason, "%s %s: %s%s",
                http->via_agent ? "through the agent at" : "HTTP to",
                addr_format(&http->addr, text), http->failure != NULL ? http->failure : "no answer",
                http->is_no_agent ? "; is the agent running?" : "");
    service->advice = http->is_no_agent ? "start the agent, or leave out --via-agent"
                      : http->via_agent
                          ? "see the agent's log for this service"
                          : "TLS is good: see what the backend serves on that port and path, or "
                            "use --no-http";
}

/* What became of the request, where TLS is good as far as it goes. */
static void judge_http(struct report_service *service, const struct report_endpoint *endpoint,
                       time_t now)
{
    const struct report_http *http = &service->http;
    if (http->complaint != COMPLAINT_NONE) {
        judge_complaint(service, endpoint, now);
    } else if (http->was_tried && http->status == 0 && !http->is_other_protocol) {
        judge_silence(service);
    }
}

static void judge(struct report_service *service, time_t now)
{
    const struct report_endpoint *endpoint = report_spokesman(service);
    if (service->verdict.reason != REASON_ok) {
        ; /* we could not find out */
    } else if (endpoint == NULL) {
        judge_names(service);
    } else if (endpoint->failure.reason != REASON_ok) {
        service->verdict = endpoint->failure;
    } else {
        judge_http(service, endpoint, now);
        judge_own(service, now);
    }
    if (service->advice == NULL) {
        service->advice = reason_advice(service->verdict.reason);
    }
}

/* ---- warnings ---- */

/* What is wrong with each stands with that one. */
static void warn_of_addresses(struct report_service *service)
{
    size_t names = 0, addresses = 0;
    for (size_t i = 0; i < service->n_hosts; i++) {
        names += service->hosts[i].failure != NULL;
    }
    for (size_t i = 0; i < service->n_endpoints; i++) {
        addresses += service->endpoints[i].failure.reason != REASON_ok;
    }
    if (names > 0) {
        report_warn(service, "%zu of %zu names cannot be resolved", names, service->n_hosts);
    }
    if (addresses > 0) {
        report_warn(service, "%zu of %zu addresses do%s not work", addresses, service->n_endpoints,
                    addresses == 1 ? "es" : "");
    }
}

static void warn_of_mutuality(struct report_service *service,
                              const struct report_endpoint *endpoint)
{
    const struct evidence *evidence = &endpoint->evidence;
    if (service->n_own > 0 && !evidence->asked) {
        report_warn(service, "the backend never asked for a certificate: the link works, but it is "
                             "not mutual");
    } else if (service->n_own == 0 && evidence->asked) {
        report_warn(service, "the backend asks for a certificate, and none is presented (tls_mode "
                             "= tls)");
    } else if (evidence->asked && !endpoint->is_confirmed && service->http.status == 0) {
        report_warn(service, "the backend has not said yet whether it accepts our certificate: in "
                             "TLS 1.3 it may do so with its first answer only");
    }
    bool is_accepted = endpoint->is_confirmed || service->http.status != 0;
    if (service->n_own > 0 && evidence->asked && !evidence->issuer_matched && is_accepted) {
        report_warn(service,
                    "it accepts certificates issued by %s; ours is issued by %s, and it took that "
                    "all the same",
                    evidence->accepted != NULL ? evidence->accepted : "others",
                    service->own[service->n_own - 1].issuer);
    }
}

static void warn_of_http(struct report_service *service, const struct report_endpoint *endpoint)
{
    const struct report_http *http = &service->http;
    if (http->is_other_protocol) {
        report_warn(service,
                    "TLS works, but the backend does not speak HTTP (%s); leave that out "
                    "with --no-http",
                    http->failure);
    } else if (endpoint->speaks_first) {
        report_warn(service, "the backend speaks first, so that it is no HTTP server: no request "
                             "was sent");
    } else if (http->status == 421) {
        report_warn(service, "HTTP 421: the backend wants Host and `sni` to be one name; see "
                             "--host");
    } else if (http->status >= 500) {
        report_warn(service, "HTTP %u: the backend answers, and has a fault of its own",
                    http->status);
    }
}

/* The CA of this name that is good for longest: a bundle may hold the one before it. */
static const struct inspect_facts *find_ca(const struct report_service *service,
                                           const char *subject)
{
    const struct inspect_facts *found = NULL;
    for (size_t i = 0; i < service->n_cas; i++) {
        const struct inspect_facts *ca = &service->cas[i];
        if (strcmp(ca->subject, subject) == 0 &&
            (found == NULL || ca->not_after > found->not_after)) {
            found = ca;
        }
    }
    return found;
}

/* Our certificates and the backend's are marked where they stand; the CA is not shown. */
static void warn_of_ca(struct report_service *service, const struct report_endpoint *endpoint,
                       time_t now)
{
    char date[SPAN_TEXT_MAX];
    const struct evidence *evidence = &endpoint->evidence;
    const struct inspect_facts *ca =
        find_ca(service, evidence->chain[evidence->n_chain - 1].issuer);
    if (ca != NULL && report_is_worth_a_mark(ca, now)) {
        report_warn(service, "the CA %s has %ld days left, until %s", ca->subject,
                    inspect_days_left(ca, now), span_format_day(ca->not_after, date));
    }
}

static void warn_of_link(struct report_service *service, const struct report_endpoint *endpoint,
                         time_t now)
{
    warn_of_addresses(service);
    warn_of_mutuality(service, endpoint);
    warn_of_http(service, endpoint);
    if (service->n_own > 0 && !service->own[0].is_for_clients) {
        report_warn(service, "our certificate is not for TLS clients (no clientAuth): backends may "
                             "refuse it");
    }
    if (endpoint->evidence.n_chain > 0) {
        warn_of_ca(service, endpoint, now);
    }
}

void judge_service(struct report_service *service, time_t now)
{
    judge(service, now);
    if (service->verdict.reason == REASON_ok) {
        warn_of_link(service, report_spokesman(service), now);
    }
}
