#include "probe/inquiry.h"

#include "probe/exchange.h"
#include "probe/judge.h"
#include "probe/lookup.h"
#include "probe/turn.h"
#include "probe/visit.h"

#include <stdlib.h>

/* The addresses are visited all at once. The first one that works is asked further at once: by
 * HTTP, and for resumption. Where its session fails in that, the next one that works is. */
enum stage {
    STAGE_VISITING, /* none has worked yet, or none that was left over */
    STAGE_ASKING,   /* one is asked further */
    STAGE_ASKED,    /* and has told all */
};

struct inquiry {
    const struct inquiry_means *means;
    const struct service *service;
    struct report_service *report;
    inquiry_done *done;
    void *ctx;
    struct turn *turn;

    struct lookup *lookup;
    struct visit **visits; /* one for each endpoint; NULL: ended */
    size_t n_open;         /* visits that are not over yet */
    enum stage stage;
    struct exchange *exchange;
    struct ticket *ticket;
    struct visit *second; /* with the ticket */
    struct report_endpoint again;
};

/* The last step: the inquiry may be gone when it returns. */
static void conclude(void *ctx)
{
    struct inquiry *inquiry = ctx;
    judge_service(inquiry->report, time(NULL));
    inquiry->done(inquiry->ctx, inquiry);
}

static void ask_next(struct inquiry *inquiry);

/* Ends every stage: goes on with what is left to do. */
static void settle(struct inquiry *inquiry)
{
    if (inquiry->stage == STAGE_VISITING) {
        ask_next(inquiry);
    }
    if (inquiry->stage != STAGE_ASKING && inquiry->n_open == 0) {
        turn_take(inquiry->turn, conclude);
    }
}

static void run_out_of_memory(struct inquiry *inquiry)
{
    failure_set(&inquiry->report->verdict, REASON_internal, "out of memory");
    inquiry->stage = STAGE_ASKED;
    settle(inquiry);
}

/* ---- resumption ---- */

static void on_second_visit(void *ctx, struct visit *visit)
{
    struct inquiry *inquiry = ctx;
    if (inquiry->again.failure.reason == REASON_ok && visit_has_offered(visit)) {
        inquiry->report->asked->resumption =
            tls_is_resumed(visit_tls(visit)) ? RESUMPTION_WORKS : RESUMPTION_DECLINED;
    }
    inquiry->second = visit_end(visit);
    inquiry->stage = STAGE_ASKED;
    settle(inquiry);
}

static void try_resumption(struct inquiry *inquiry)
{
    struct report_endpoint *asked = inquiry->report->asked;
    if (inquiry->ticket == NULL) {
        asked->resumption = RESUMPTION_NO_TICKET;
        inquiry->stage = STAGE_ASKED;
        settle(inquiry);
        return;
    }
    inquiry->again.addr = asked->addr;
    inquiry->again.address = asked->address;
    inquiry->second = visit_start(inquiry->means->loop, inquiry->means->scratch, inquiry->service,
                                  &inquiry->again, inquiry->ticket, on_second_visit, inquiry);
    if (inquiry->second == NULL) {
        run_out_of_memory(inquiry);
    }
}

/* ---- the HTTP request ---- */

static void keep_ticket(struct inquiry *inquiry, struct ticket *newest)
{
    if (newest != NULL) {
        ticket_free(inquiry->ticket);
        inquiry->ticket = newest;
    }
}

static void on_exchanged(void *ctx)
{
    struct inquiry *inquiry = ctx;
    struct report_endpoint *asked = inquiry->report->asked;
    struct failure failure = *exchange_failure(inquiry->exchange);
    keep_ticket(inquiry, exchange_take_ticket(inquiry->exchange));
    inquiry->exchange = exchange_end(inquiry->exchange);
    /* What comes behind a whole answer does not make it a bad one. */
    inquiry->report->http.is_truncated = failure.reason == REASON_upstream_truncated;
    if (failure.reason == REASON_ok || inquiry->report->http.is_whole) {
        try_resumption(inquiry);
        return;
    }
    asked->failure = failure;
    inquiry->ticket = ticket_free(inquiry->ticket);
    inquiry->stage = STAGE_VISITING;
    settle(inquiry);
}

/* Asks an endpoint that works; `visit` is its open session, or NULL when that was ended. */
static void ask_further(struct inquiry *inquiry, struct report_endpoint *endpoint,
                        struct visit *visit)
{
    inquiry->stage = STAGE_ASKING;
    inquiry->report->asked = endpoint;
    keep_ticket(inquiry, visit != NULL ? ticket_take(visit_tls(visit)) : NULL);
    if (inquiry->means->options->no_http || endpoint->speaks_first) {
        visit_end(visit);
        try_resumption(inquiry);
        return;
    }
    inquiry->exchange = exchange_start(inquiry->means, inquiry->service, inquiry->report, visit,
                                       on_exchanged, inquiry);
    if (inquiry->exchange == NULL) {
        run_out_of_memory(inquiry);
    }
}

/* ---- the addresses ---- */

/* Takes a visit that is over out of the list. */
static struct visit *take_visit(struct inquiry *inquiry, size_t i)
{
    struct visit *visit = inquiry->visits[i];
    inquiry->visits[i] = NULL;
    return visit;
}

/* Asks the first endpoint that works, if there is one whose visit is over. */
static void ask_next(struct inquiry *inquiry)
{
    for (size_t i = 0; i < inquiry->report->n_endpoints; i++) {
        struct report_endpoint *endpoint = &inquiry->report->endpoints[i];
        if (endpoint->failure.reason == REASON_ok) {
            ask_further(inquiry, endpoint, take_visit(inquiry, i));
            return;
        }
    }
}

static void on_visited(void *ctx, struct visit *visit)
{
    struct inquiry *inquiry = ctx;
    size_t i = (size_t)(visit_endpoint(visit) - inquiry->report->endpoints);
    inquiry->n_open--;
    if (inquiry->stage != STAGE_VISITING || visit_endpoint(visit)->failure.reason != REASON_ok) {
        visit_end(take_visit(inquiry, i)); /* no session idles, for the backend may mind */
    }
    settle(inquiry);
}

/* True for an address that the same entry has led to already. */
static bool is_known(const struct report_service *report, const struct addr *addr,
                     const struct config_address *address)
{
    for (size_t i = 0; i < report->n_endpoints; i++) {
        const struct report_endpoint *known = &report->endpoints[i];
        if (known->address == address && addr_equal(&known->addr, addr)) {
            return true;
        }
    }
    return false;
}

static void list_endpoints(struct report_service *report, const struct report_host *host)
{
    for (size_t i = 0; i < host->n && report->n_endpoints < REPORT_ENDPOINTS_MAX; i++) {
        if (is_known(report, &host->addrs[i], host->address)) {
            continue;
        }
        struct report_endpoint *endpoint = &report->endpoints[report->n_endpoints++];
        report_endpoint_release(endpoint);
        endpoint->addr = host->addrs[i];
        endpoint->address = host->address;
    }
}

static void begin_visit(struct inquiry *inquiry, size_t i)
{
    inquiry->visits[i] =
        visit_start(inquiry->means->loop, inquiry->means->scratch, inquiry->service,
                    &inquiry->report->endpoints[i], NULL, on_visited, inquiry);
    inquiry->n_open += inquiry->visits[i] != NULL;
}

static void begin_visits(void *ctx)
{
    struct inquiry *inquiry = ctx;
    struct report_service *report = inquiry->report;
    report->endpoints = calloc(REPORT_ENDPOINTS_MAX, sizeof(report->endpoints[0]));
    inquiry->visits = calloc(REPORT_ENDPOINTS_MAX, sizeof(struct visit *));
    if (report->endpoints == NULL || inquiry->visits == NULL) {
        run_out_of_memory(inquiry);
        return;
    }
    for (size_t i = 0; i < report->n_hosts; i++) {
        list_endpoints(report, &report->hosts[i]);
    }
    for (size_t i = 0; i < report->n_endpoints; i++) {
        begin_visit(inquiry, i);
    }
    settle(inquiry);
}

/* ---- life ---- */

static void on_found(void *ctx)
{
    struct inquiry *inquiry = ctx;
    turn_take(inquiry->turn, begin_visits);
}

static struct inquiry *make(const struct inquiry_means *means, const struct service *service,
                            struct report_service *report)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (inquiry == NULL) {
        return NULL;
    }
    inquiry->means = means;
    inquiry->service = service;
    inquiry->report = report;
    report_endpoint_release(&inquiry->again);
    inquiry->turn = turn_new(means->loop, inquiry);
    return inquiry->turn != NULL ? inquiry : inquiry_end(inquiry);
}

struct inquiry *inquiry_start(const struct inquiry_means *means, const struct service *service,
                              struct report_service *report, inquiry_done *done, void *ctx)
{
    struct inquiry *inquiry = make(means, service, report);
    if (inquiry == NULL) {
        return NULL;
    }
    inquiry->done = done;
    inquiry->ctx = ctx;
    inquiry->lookup = lookup_start(means->dns, report, on_found, inquiry);
    if (inquiry->lookup == NULL) {
        return inquiry_end(inquiry);
    }
    if (lookup_is_over(inquiry->lookup)) {
        turn_take(inquiry->turn, begin_visits);
    }
    return inquiry;
}

struct inquiry *inquiry_end(struct inquiry *inquiry)
{
    if (inquiry == NULL) {
        return NULL;
    }
    for (size_t i = 0; inquiry->visits != NULL && i < inquiry->report->n_endpoints; i++) {
        visit_end(inquiry->visits[i]);
    }
    visit_end(inquiry->second);
    exchange_end(inquiry->exchange);
    lookup_end(inquiry->lookup);
    ticket_free(inquiry->ticket);
    report_endpoint_release(&inquiry->again);
    turn_free(inquiry->turn);
    free(inquiry->visits);
    free(inquiry);
    return NULL;
}
