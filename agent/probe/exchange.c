#include "probe/exchange.h"

#include "base/cleanup.h"
#include "probe/http.h"
#include "probe/tunnel.h"
#include "probe/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Some servers do not know HEAD and wait for something else, so GET has most of the time. */
#define HEAD_TIMEOUT_MS 3000
#define TIMEOUT_MS      10000

#define HTTPS_PORT 443

struct exchange {
    const struct inquiry_means *means;
    const struct service *service;
    struct report_service *report;
    exchange_done *done;
    void *ctx;

    struct report_endpoint *endpoint;
    struct visit *visit;            /* until its session becomes the tunnel */
    struct report_endpoint another; /* of a visit for a second request */
    char *url;                      /* for libcurl */
    struct tunnel *tunnel;
    struct http *http;

    struct turn *turn;

    bool is_get_next;       /* where the first answer says too little */
    struct failure failure; /* of the backend's side */
    struct ticket *ticket;
};

/* ---- what to ask ---- */

/* "api.example.com", with the port where that is not the usual one. The caller frees it. */
static char *make_authority(const struct exchange *exchange)
{
    const struct config_service *service = exchange->report->service;
    const struct config_address *address = exchange->endpoint->address;
    const char *host = exchange->means->options->host;
    char *text = NULL;
    if (host != NULL) {
        return strdup(host);
    }
    host = service->sni == CONFIG_SNI_NAME ? service->sni_name : address->host;
    bool is_v6 = strchr(host, ':') != NULL;
    int len = address->port == HTTPS_PORT
                  ? asprintf(&text, is_v6 ? "[%s]" : "%s", host)
                  : asprintf(&text, is_v6 ? "[%s]:%u" : "%s:%u", host, address->port);
    return len >= 0 ? text : NULL;
}

/* The caller frees it. */
static char *make_url(const struct exchange *exchange, const char *scheme)
{
    char *authority = make_authority(exchange), *url = NULL;
    int len = authority != NULL
                  ? asprintf(&url, "%s://%s%s", scheme, authority, exchange->means->options->path)
                  : -1;
    free(authority);
    return len >= 0 ? url : NULL;
}

/* ---- how it ends ---- */

/* The last step: the exchange may be gone when it returns. */
static void conclude(void *ctx)
{
    struct exchange *exchange = ctx;
    exchange->done(exchange->ctx);
}

static void note_failure(struct exchange *exchange, const char *failure)
{
    struct report_http *report = &exchange->report->http;
    free(report->failure);
    report->failure = strdup(failure);
}

/* There is no answer, and none will come, for a reason of our own. */
static void give_up(struct exchange *exchange)
{
    failure_set(&exchange->failure, REASON_internal, "out of memory");
    note_failure(exchange, exchange->failure.detail);
    turn_take(exchange->turn, conclude);
}

static void keep_ticket(struct exchange *exchange, struct ticket *ticket)
{
    if (ticket != NULL) {
        ticket_free(exchange->ticket);
        exchange->ticket = ticket;
    }
}

/* Takes what the session has to tell, and closes it. */
static void close_tunnel(struct exchange *exchange)
{
    if (exchange->tunnel != NULL) {
        exchange->failure = *tunnel_failure(exchange->tunnel);
        evidence_take(&exchange->endpoint->evidence, tunnel_tls(exchange->tunnel));
        exchange->endpoint->is_confirmed |= tls_is_confirmed(tunnel_tls(exchange->tunnel));
        keep_ticket(exchange, ticket_take(tunnel_tls(exchange->tunnel)));
        exchange->tunnel = tunnel_close(exchange->tunnel);
    }
}

/* ---- the answer ---- */

static enum report_complaint find_complaint(const struct http_answer *answer)
{
    if (answer->status != 400 || answer->body == NULL) {
        return COMPLAINT_NONE;
    }
    if (strstr(answer->body, "No required SSL certificate was sent") != NULL) {
        return COMPLAINT_NO_CERTIFICATE;
    }
    return strstr(answer->body, "The SSL certificate error") != NULL ? COMPLAINT_BAD_CERTIFICATE
                                                                     : COMPLAINT_NONE;
}

/* An answer that ends with the connection is whole when that ended well. */
static bool is_whole(const struct exchange *exchange, const struct http_answer *answer)
{
    return answer->outcome == HTTP_ANSWERED && answer->is_whole &&
           (!answer->ends_by_close || exchange->failure.reason == REASON_ok);
}

static void take_answer(struct exchange *exchange, const struct http_answer *answer)
{
    struct report_http *report = &exchange->report->http;
    report->duration_us = answer->duration_us;
    report->is_other_protocol = answer->outcome == HTTP_NOT_HTTP;
    report->timed_out = answer->outcome == HTTP_TIMEOUT;
    report->error = answer->error;
    report->is_whole = is_whole(exchange, answer);
    report->is_no_agent = report->via_agent && answer->outcome == HTTP_UNREACHABLE;
    if (answer->outcome != HTTP_ANSWERED) {
        note_failure(exchange, answer->failure);
        return;
    }
    free(report->failure);
    report->failure = NULL;
    if (!report->is_whole) {
        note_failure(exchange, "the answer did not come to its end");
    }
    report->status = answer->status;
    report->version = answer->version;
    report->complaint = find_complaint(answer);
    free(report->server);
    report->server = answer->server != NULL ? strdup(answer->server) : NULL;
}

/* Some servers close on HEAD, or wait for more. Where the session was refused, that says it all. */
static bool says_too_little(const struct exchange *exchange, const struct http_answer *answer)
{
    enum reason reason = exchange->failure.reason;
    bool is_refused = reason != REASON_ok && reason != REASON_upstream_reset &&
                      reason != REASON_upstream_truncated;
    if (answer->outcome == HTTP_ANSWERED) {
        return answer->status >= 400 || !exchange->report->http.is_whole;
    }
    return !is_refused && (answer->outcome == HTTP_CLOSED || answer->outcome == HTTP_TIMEOUT);
}

static void ask_again(void *ctx);

static void on_answer(void *ctx, const struct http_answer *answer)
{
    struct exchange *exchange = ctx;
    exchange->http = NULL;
    close_tunnel(exchange);
    take_answer(exchange, answer);
    if (exchange->is_get_next && says_too_little(exchange, answer)) {
        exchange->is_get_next = false;
        turn_take(exchange->turn, ask_again);
    } else {
        turn_take(exchange->turn, conclude);
    }
}

/* ---- the request ---- */

static void send_request(struct exchange *exchange, const struct addr *addr)
{
    const char *alpn = exchange->endpoint->alpn;
    const struct http_request request = {
        .method = exchange->report->http.method,
        .url = exchange->url,
        .is_http2 = alpn != NULL && strcmp(alpn, "h2") == 0,
        .timeout_ms = exchange->is_get_next ? HEAD_TIMEOUT_MS : TIMEOUT_MS,
    };
    exchange->http = http_start(exchange->means->loop, addr, &request, on_answer, exchange);
    if (exchange->http == NULL) {
        give_up(exchange);
    }
}

/* Sends the request through the session of the visit, which ends with that. */
static void send_through_visit(struct exchange *exchange)
{
    struct upstream upstream;
    struct buf early;
    struct addr addr;
    visit_take(exchange->visit, &upstream, &early);
    exchange->visit = visit_end(exchange->visit);
    exchange->tunnel =
        tunnel_open(exchange->means->loop, exchange->means->scratch, &upstream, &early, &addr);
    if (exchange->tunnel == NULL) {
        give_up(exchange);
    } else {
        send_request(exchange, &addr);
    }
}

/* Where a caller on this host reaches the agent's listener. */
static struct addr address_of_agent(const struct report_service *report)
{
    struct addr addr = report->service->listens[0].addr;
    if (addr_is_wildcard(&addr)) {
        bool is_v6 = addr.sa.sa_family == AF_INET6;
        addr_parse_ip(is_v6 ? "::1" : "127.0.0.1", addr_port(&addr), &addr);
    }
    return addr;
}

/* ---- the second request ---- */

static void on_visited_again(void *ctx, struct visit *visit)
{
    struct exchange *exchange = ctx;
    const struct failure *failure = &visit_endpoint(visit)->failure;
    if (failure->reason == REASON_ok) {
        send_through_visit(exchange);
        return;
    }
    exchange->failure = *failure;
    note_failure(exchange, failure->detail);
    turn_take(exchange->turn, conclude);
}

static void visit_again(struct exchange *exchange)
{
    report_endpoint_release(&exchange->another);
    exchange->another.addr = exchange->endpoint->addr;
    exchange->another.address = exchange->endpoint->address;
    exchange->visit =
        visit_start(exchange->means->loop, exchange->means->scratch, exchange->service,
                    &exchange->another, NULL, on_visited_again, exchange);
    if (exchange->visit == NULL) {
        give_up(exchange);
    }
}

static int set_method(struct exchange *exchange, const char *method)
{
    free(exchange->report->http.method);
    exchange->report->http.method = strdup(method);
    return exchange->report->http.method != NULL ? 0 : -1;
}

/* What the first answer said, the second one says better. */
static void forget_answer(struct report_http *report)
{
    report->status = 0;
    report->version = NULL;
    report->complaint = COMPLAINT_NONE;
    free(report->server);
    report->server = NULL;
}

static void ask_again(void *ctx)
{
    struct exchange *exchange = ctx;
    struct report_http *report = &exchange->report->http;
    forget_answer(report);
    if (set_method(exchange, "GET") < 0) {
        give_up(exchange);
    } else if (report->via_agent) {
        send_request(exchange, &report->addr);
    } else {
        visit_again(exchange);
    }
}

/* ---- life ---- */

static int describe(struct exchange *exchange)
{
    const struct inquiry_options *options = exchange->means->options;
    struct report_http *report = &exchange->report->http;
    report_http_release(report); /* of an exchange before this one */
    report->was_tried = true;
    report->via_agent = options->via_agent;
    report->addr =
        options->via_agent ? address_of_agent(exchange->report) : exchange->endpoint->addr;
    report->url = make_url(exchange, options->via_agent ? "http" : "https");
    exchange->url = make_url(exchange, "http");
    exchange->is_get_next = options->method == NULL;
    int rc = set_method(exchange, options->method != NULL ? options->method : "HEAD");
    return rc == 0 && report->url != NULL && exchange->url != NULL ? 0 : -1;
}

static void begin(void *ctx)
{
    struct exchange *exchange = ctx;
    const struct report_http *report = &exchange->report->http;
    if (report->via_agent) {
        exchange->visit = visit_end(exchange->visit);
        send_request(exchange, &report->addr);
    } else if (exchange->visit != NULL) {
        send_through_visit(exchange);
    } else {
        visit_again(exchange);
    }
}

struct exchange *exchange_start(const struct inquiry_means *means, const struct service *service,
                                struct report_service *report, struct visit *visit,
                                exchange_done *done, void *ctx)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL) {
        visit_end(visit);
        return NULL;
    }
    exchange->means = means;
    exchange->service = service;
    exchange->report = report;
    exchange->done = done;
    exchange->ctx = ctx;
    exchange->visit = visit;
    exchange->endpoint = report->asked;
    evidence_init(&exchange->another.evidence);
    exchange->turn = turn_new(means->loop, exchange);
    if (exchange->turn == NULL || describe(exchange) < 0) {
        return exchange_end(exchange);
    }
    turn_take(exchange->turn, begin);
    return exchange;
}

const struct failure *exchange_failure(const struct exchange *exchange)
{
    return &exchange->failure;
}

struct ticket *exchange_take_ticket(struct exchange *exchange)
{
    return cleanup_steal(exchange->ticket);
}

struct exchange *exchange_end(struct exchange *exchange)
{
    if (exchange == NULL) {
        return NULL;
    }
    http_cancel(exchange->http);
    tunnel_close(exchange->tunnel);
    visit_end(exchange->visit);
    turn_free(exchange->turn);
    free(exchange->url);
    report_endpoint_release(&exchange->another);
    ticket_free(exchange->ticket);
    free(exchange);
    return NULL;
}
