#include "probe/inquiry.h"

#include "probe/exchange.h"
#include "probe/judge.h"
#include "probe/lookup.h"
#include "probe/visit.h"
#include "worker/deadline.h"

#include <stdlib.h>
#include <string.h>

/* As many as the agent itself would try. */
#define ENDPOINTS_MAX 64

struct inquiry {
    const struct inquiry_means *means;
    const struct service *service;
    struct report_service *report;
    inquiry_done *done;
    void *ctx;

    void (*step)(struct inquiry *inquiry); /* to be taken on the loop's next turn */
    struct deadline *turn;

    struct lookup *lookup;
    struct visit **visits; /* one for each endpoint */
    size_t n_open;         /* visits that are not over yet */
    struct exchange *exchange;
    struct ticket *ticket;
    struct visit *second; /* with the ticket */
    struct report_endpoint again;
    struct failure link; /* what the exchange found out about TLS */
};

static void take_step(struct inquiry *inquiry, void (*step)(struct inquiry *inquiry))
{
    inquiry->step = step;
    deadline_set(inquiry->turn, 0);
}

static void on_step(void *ctx)
{
    struct inquiry *inquiry = ctx;
    inquiry->step(inquiry);
}

/* The last step: the inquiry may be gone when it returns. */
static void conclude(struct inquiry *inquiry)
{
    judge_service(inquiry->report, &inquiry->link, time(NULL));
    inquiry->done(inquiry->ctx, inquiry);
}

/* ---- resumption ---- */

/* The endpoint that works and comes first, and its visit; NULL: there is none. */
static struct visit *find_open_visit(const struct inquiry *inquiry)
{
    for (size_t i = 0; i < inquiry->report->n_endpoints; i++) {
        if (inquiry->visits[i] != NULL &&
            inquiry->report->endpoints[i].failure.reason == REASON_ok) {
            return inquiry->visits[i];
        }
    }
    return NULL;
}

static struct report_endpoint *spokesman(const struct inquiry *inquiry)
{
    return (struct report_endpoint *)(uintptr_t)report_spokesman(inquiry->report);
}

static void on_second_visit(void *ctx, struct visit *visit)
{
    struct inquiry *inquiry = ctx;
    if (inquiry->again.failure.reason == REASON_ok) {
        spokesman(inquiry)->resumption =
            tls_is_resumed(visit_tls(visit)) ? RESUMPTION_WORKS : RESUMPTION_DECLINED;
    }
    take_step(inquiry, conclude);
}

static void try_resumption(struct inquiry *inquiry)
{
    struct report_endpoint *first = spokesman(inquiry);
    if (inquiry->ticket == NULL) {
        first->resumption = RESUMPTION_NO_TICKET;
        take_step(inquiry, conclude);
        return;
    }
    inquiry->again.addr = first->addr;
    inquiry->again.address = first->address;
    inquiry->second = visit_start(inquiry->means->loop, inquiry->means->scratch, inquiry->service,
                                  &inquiry->again, inquiry->ticket, on_second_visit, inquiry);
    if (inquiry->second == NULL) {
        take_step(inquiry, conclude);
    }
}

/* ---- the HTTP request ---- */

static void on_exchanged(void *ctx)
{
    struct inquiry *inquiry = ctx;
    struct ticket *newest = exchange_take_ticket(inquiry->exchange);
    if (newest != NULL) {
        ticket_free(inquiry->ticket);
        inquiry->ticket = newest;
    }
    inquiry->link = *exchange_failure(inquiry->exchange);
    if (inquiry->report->http.status != 0) {
        inquiry->link.reason = REASON_ok; /* what came behind the answer is of no interest */
    }
    if (inquiry->link.reason != REASON_ok) {
        spokesman(inquiry)->failure = inquiry->link;
        take_step(inquiry, conclude);
    } else {
        take_step(inquiry, try_resumption);
    }
}

/* Ends all visits but the one that is given. */
static void end_visits(struct inquiry *inquiry, const struct visit *but)
{
    for (size_t i = 0; inquiry->visits != NULL && i < inquiry->report->n_endpoints; i++) {
        if (inquiry->visits[i] != but) {
            visit_end(inquiry->visits[i]);
        }
        inquiry->visits[i] = NULL;
    }
}

static void begin_exchange(struct inquiry *inquiry)
{
    struct visit *visit = find_open_visit(inquiry);
    end_visits(inquiry, visit);
    if (visit == NULL) {
        conclude(inquiry);
        return;
    }
    inquiry->ticket = ticket_take(visit_tls(visit));
    if (inquiry->means->options->no_http || visit_endpoint(visit)->speaks_first) {
        visit_end(visit);
        take_step(inquiry, try_resumption);
        return;
    }
    inquiry->exchange = exchange_start(inquiry->means, inquiry->service, inquiry->report, visit,
                                       on_exchanged, inquiry);
    if (inquiry->exchange == NULL) {
        take_step(inquiry, try_resumption);
    }
}

/* ---- the addresses ---- */

static void on_visited(void *ctx, struct visit *visit)
{
    struct inquiry *inquiry = ctx;
    (void)visit;
    if (--inquiry->n_open == 0) {
        take_step(inquiry, begin_exchange);
    }
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
    for (size_t i = 0; i < host->n && report->n_endpoints < ENDPOINTS_MAX; i++) {
        if (is_known(report, &host->addrs[i], host->address)) {
            continue;
        }
        struct report_endpoint *endpoint = &report->endpoints[report->n_endpoints++];
        endpoint->addr = host->addrs[i];
        endpoint->address = host->address;
        evidence_init(&endpoint->evidence);
    }
}

static void begin_visit(struct inquiry *inquiry, size_t i)
{
    struct report_endpoint *endpoint = &inquiry->report->endpoints[i];
    inquiry->visits[i] = visit_start(inquiry->means->loop, inquiry->means->scratch,
                                     inquiry->service, endpoint, NULL, on_visited, inquiry);
    if (inquiry->visits[i] == NULL) {
        failure_set(&endpoint->failure, REASON_internal, "out of memory");
    } else {
        inquiry->n_open++;
    }
}

static void begin_visits(struct inquiry *inquiry)
{
    struct report_service *report = inquiry->report;
    report->endpoints = calloc(ENDPOINTS_MAX, sizeof(report->endpoints[0]));
    inquiry->visits = calloc(ENDPOINTS_MAX, sizeof(struct visit *));
    for (size_t i = 0; report->endpoints != NULL && i < report->n_hosts; i++) {
        list_endpoints(report, &report->hosts[i]);
    }
    for (size_t i = 0; inquiry->visits != NULL && i < report->n_endpoints; i++) {
        begin_visit(inquiry, i);
    }
    if (inquiry->n_open == 0) {
        take_step(inquiry, conclude);
    }
}

/* ---- life ---- */

static void on_found(void *ctx)
{
    take_step(ctx, begin_visits);
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
    evidence_init(&inquiry->again.evidence);
    inquiry->turn = deadline_new(means->loop, on_step, inquiry);
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
        take_step(inquiry, begin_visits);
    }
    return inquiry;
}

struct inquiry *inquiry_end(struct inquiry *inquiry)
{
    if (inquiry == NULL) {
        return NULL;
    }
    end_visits(inquiry, NULL);
    visit_end(inquiry->second);
    exchange_end(inquiry->exchange);
    lookup_end(inquiry->lookup);
    ticket_free(inquiry->ticket);
    report_endpoint_release(&inquiry->again);
    deadline_free(inquiry->turn);
    free(inquiry->visits);
    free(inquiry);
    return NULL;
}
