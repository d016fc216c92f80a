#include "probe/judge.h"

#include "base/span.h"
#include "tls/standing.h"

#include <errno.h>
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

/* True when something is plain from here that a backend may hold against our certificate. */
static bool is_dubious(const struct report_service *service, const struct report_endpoint *endpoint,
                       time_t now)
{
    struct standing standing = standing_of(service, endpoint, now);
    return service->n_own > 0 && endpoint->evidence.asked &&
           standing_reason(&standing, REASON_ok) != REASON_ok;
}

/* The backend has refused our certificate in HTTP. */
static void refuse_certificate(struct report_service *service,
                               const struct report_endpoint *endpoint, const char *words,
                               time_t now)
{
    char ours[FAILURE_DETAIL_MAX];
    struct standing standing = standing_of(service, endpoint, now);
    failure_set_by_peer(&service->verdict, standing_reason(&standing, REASON_client_cert_untrusted),
                        "it answers HTTP %u%s%s", service->http.status, words,
                        standing_format(&standing, ours, sizeof(ours)));
}

static void miss_certificate(struct report_service *service, const struct report_endpoint *endpoint)
{
    const char *why = "; ours was not sent";
    if (service->n_own == 0) {
        why = "; none is presented (tls_mode = tls)";
    } else if (!endpoint->evidence.asked) {
        why = "; it did not ask for one in the handshake";
        service->advice =
            "the server that was reached by `sni` is another one than Host names: make "
            "them one name";
    }
    failure_set_by_peer(&service->verdict, REASON_client_cert_required,
                        "it answers HTTP 400 \"No required SSL certificate was sent\"%s", why);
}

/* nginx completes the handshake with any certificate or none, gives tickets to anybody, and says
 * what it thinks of the certificate by an answer of HTTP 400; or by a page of the operator's. */
static void judge_answer(struct report_service *service, const struct report_endpoint *endpoint,
                         time_t now)
{
    const struct report_http *http = &service->http;
    bool is_refusal = http->status == 400 || http->status == 403;
    if (http->complaint == COMPLAINT_NO_CERTIFICATE) {
        miss_certificate(service, endpoint);
    } else if (http->complaint == COMPLAINT_BAD_CERTIFICATE) {
        refuse_certificate(service, endpoint, " \"The SSL certificate error\"", now);
    } else if (is_refusal && is_dubious(service, endpoint, now)) {
        refuse_certificate(service, endpoint, "", now);
    }
}

/* A link that works in spite of our certificate will not do so for long. */
static void judge_own(struct report_service *service, const struct report_endpoint *endpoint,
                      time_t now)
{
    const char *so_far = endpoint->evidence.asked ? "has not refused it" : "has never asked for it";
    char date[SPAN_TEXT_MAX], span[SPAN_TEXT_MAX];
    for (size_t i = 0; i < service->n_own && service->verdict.reason == REASON_ok; i++) {
        const struct inspect_facts *own = &service->own[i];
        if (own->not_after < now) {
            failure_set(&service->verdict, REASON_own_cert_expired,
                        "%s expired %s ago, on %s; the backend %s", own->subject,
                        span_format(now - own->not_after, span),
                        span_format_date(own->not_after, date), so_far);
        } else if (own->not_before > now) {
            bool is_clock = span_suggests_clock(own->not_before - now);
            failure_set(&service->verdict, REASON_own_cert_not_yet_valid,
                        "%s is valid from %s, %s ahead%s; the backend %s", own->subject,
                        span_format_date(own->not_before, date),
                        span_format(own->not_before - now, span),
                        is_clock ? ": is the clock of this host wrong?" : "", so_far);
        }
    }
}

static const char *advise_on_silence(const struct report_http *http)
{
    if (http->error == EACCES || http->error == EPERM) {
        return "run this as a user that may use the socket: see socket_user, socket_group and "
               "socket_mode";
    }
    if (http->is_no_agent) {
        return "start the agent, or leave out --via-agent";
    }
    return http->via_agent
               ? "see the agent's log for this service"
               : "TLS is good: see what the backend serves on that port and path, or use "
                 "--no-http";
}

/* There was a request, and no answer, or not all of it. */
static void judge_silence(struct report_service *service)
{
    const struct report_http *http = &service->http;
    char text[ADDR_TEXT_MAX];
    enum reason reason = http->is_no_agent ? REASON_connect_refused
                         : http->timed_out ? REASON_idle_timeout
                                           : REASON_upstream_reset;
    bool is_question = http->is_no_agent && http->error != EACCES && http->error != EPERM;
    failure_set(&service->verdict, reason, "%s %s: %s%s",
                http->via_agent ? "through the agent at" : "HTTP to",
                addr_format(&http->addr, text), http->failure != NULL ? http->failure : "no answer",
                is_question ? "; is the agent running?" : "");
    service->advice = advise_on_silence(http);
}

/* What became of the request, where TLS is good as far as it goes. */
static void judge_http(struct report_service *service, const struct report_endpoint *endpoint,
                       time_t now)
{
    const struct report_http *http = &service->http;
    if (http->was_tried && !http->is_whole && !http->is_other_protocol) {
        judge_silence(service);
    } else {
        judge_answer(service, endpoint, now);
    }
}

/* Nothing was said at all: `truncation` = eof would only make a success of it. */
static bool is_mute(const struct report_service *service)
{
    return service->verdict.reason == REASON_upstream_truncated && service->http.status == 0;
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
        judge_own(service, endpoint, now);
    }
    if (service->advice == NULL) {
        service->advice =
            is_mute(service) ? REASON_ADVICE_MUTE : reason_advice(service->verdict.reason);
    }
}

/* A ticket is no acceptance where there is something to hold against our certificate: nginx gives
 * it all the same. */
static void doubt_acceptance(struct report_service *service, time_t now)
{
    bool is_served = service->http.status >= 200 && service->http.status < 400;
    for (size_t i = 0; i < service->n_endpoints; i++) {
        struct report_endpoint *endpoint = &service->endpoints[i];
        bool is_proven = is_served && endpoint == service->asked && !service->http.via_agent;
        if (!is_proven && is_dubious(service, endpoint, now)) {
            endpoint->is_confirmed = false;
        }
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
    if (service->n_endpoints == REPORT_ENDPOINTS_MAX) {
        report_warn(service, "only the first %d addresses were tried", REPORT_ENDPOINTS_MAX);
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
    } else if (evidence->asked && !endpoint->is_confirmed) {
        report_warn(service,
                    "the backend has not said yet whether it accepts our certificate: it may "
                    "do so with its first answer only");
    }
    if (service->n_own > 0 && evidence->asked && !evidence->issuer_matched) {
        report_warn(service, "it accepts certificates issued by %s; ours is issued by %s%s",
                    evidence->accepted != NULL ? evidence->accepted : "others",
                    service->own[service->n_own - 1].issuer,
                    endpoint->is_confirmed ? ", and it took that all the same" : "");
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
    } else if (http->status == 400 && strcmp(http->method, "HEAD") == 0) {
        report_warn(service, "HTTP 400 to HEAD: nginx says so of a certificate that it does not "
                             "accept, and tells more with --method GET");
    } else if (http->is_truncated) {
        report_warn(service,
                    "the backend ended its stream without close_notify: callers get a reset "
                    "behind the answer, unless truncation = eof");
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
        long days = inspect_days_left(ca, now);
        report_warn(service, "the CA %s expires in %ld day%s, on %s", ca->subject, days,
                    days == 1 ? "" : "s", span_format_day(ca->not_after, date));
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
    doubt_acceptance(service, now);
    if (service->verdict.reason == REASON_ok) {
        warn_of_link(service, report_spokesman(service), now);
    }
}
