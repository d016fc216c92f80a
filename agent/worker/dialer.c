#include "worker/dialer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/socket.h"
#include "tls/peer.h"
#include "worker/attempt.h"
#include "worker/deadline.h"
#include "worker/headroom.h"
#include "worker/tickets.h"
#include "worker/worker_fields.h"

#include <stdlib.h>

/* RFC 8305 section 5: Connection Attempt Delay. */
#define PACE_MS 250

/* One for each endpoint. */
struct racer {
    struct attempt *attempt; /* NULL: over, or not begun */
    /* A reference: what earlier sessions have left there; NULL: none. */
    struct resumption *resumption;
    bool is_second; /* the first broke off over a ticket: none is offered */
};

struct dialer {
    struct worker *worker;
    struct dialer_plan plan; /* with a reference to its endpoints */

    struct racer *racers;
    size_t n_begun, n_running;
    struct deadline *pace;
    struct deadline *budget;
    bool budget_spent;

    struct failure failure; /* of the attempt that came furthest so far */
    struct addr failed_addr;
    bool failed_connected; /* it had got as far as TLS */
};

static bool are_equals(const struct endpoint *a, const struct endpoint *b)
{
    return name_equal(&a->host, &b->host) && addr_port(&a->addr) == addr_port(&b->addr);
}

/* The addresses of the first `address` take turns; those of others stand behind it as they are. */
static const struct endpoint *endpoint_at(const struct dialer *dialer, size_t i)
{
    const struct endpoints *endpoints = dialer->plan.endpoints;
    size_t n = 1;
    while (n < endpoints->n && are_equals(&endpoints->list[n], &endpoints->list[0])) {
        n++;
    }
    return &endpoints->list[i < n ? (i + dialer->plan.first) % n : i];
}

/* What earlier sessions with an endpoint have left; NULL: nothing, or the service or its endpoints
 * are no longer what they were when this one began. */
static struct resumption *resumption_of(const struct dialer *dialer, size_t i)
{
    struct slot *slot = worker_slot(dialer->worker, dialer->plan.service);
    bool is_as_before =
        slot != NULL && slot->endpoints == dialer->plan.endpoints && slot->tickets != NULL;
    struct resumption *resumption =
        is_as_before ? tickets_of(slot->tickets, endpoint_at(dialer, i)) : NULL;
    return resumption != NULL ? resumption_ref(resumption) : NULL;
}

static size_t index_of(const struct dialer *dialer, const struct attempt *attempt)
{
    size_t i = 0;
    while (dialer->racers[i].attempt != attempt) {
        i++;
    }
    return i;
}

/* Folds the failure, if it is not a first one. Among many attempts, the evidence of one is of use
 * together with its address. */
static bool fold(const struct dialer *dialer, const char *upstream, const struct failure *failure)
{
    struct failure located;
    failure_set(&located, failure->reason, "%s: %s", upstream, failure->detail);
    located.by_peer = failure->by_peer;
    return tally_fold(dialer->plan.service->account->attempts, &located, clock_ms(),
                      &dialer->worker->watcher);
}

static void log_attempt(const struct dialer *dialer, const struct addr *addr,
                        const struct failure *failure)
{
    char text[ADDR_TEXT_MAX];
    const char *upstream = addr_format(addr, text);
    enum log_level level = fold(dialer, upstream, failure) ? LEVEL_DEBUG : LEVEL_WARNING;
    struct log_line line;
    log_begin(&line, level, "attempt failed");
    log_text(&line, "service", dialer->plan.service->name);
    log_text(&line, "upstream", upstream);
    log_reason(&line, failure->reason, failure->by_peer);
    log_text(&line, "detail", failure->detail);
    log_end(&line);
}

/* An attempt that came as far as TLS says more than one that did not, and the last says what the
 * operator sees if she tries now. */
static void note_failure(struct dialer *dialer, const struct addr *addr, bool connected,
                         const struct failure *failure)
{
    struct account *account = dialer->plan.service->account;
    tally_add(account->attempts, failure->reason, failure->by_peer);
    if (connected) {
        tally_add(account->handshakes, failure->reason, failure->by_peer);
    }
    account_note_failure(account, failure);
    if (dialer->plan.endpoints->n > 1) {
        log_attempt(dialer, addr, failure);
    }
    if (connected || !dialer->failed_connected) {
        dialer->failure = *failure;
        dialer->failed_addr = *addr;
        dialer->failed_connected = connected;
    }
}

/* Forgets an attempt of which nothing more is to come. */
static void drop(struct dialer *dialer, size_t i)
{
    struct racer *racer = &dialer->racers[i];
    racer->attempt = attempt_cancel(racer->attempt);
    racer->resumption = resumption_unref(racer->resumption);
    dialer->n_running--;
}

static bool may_begin(const struct dialer *dialer)
{
    return !dialer->budget_spent && dialer->n_begun < dialer->plan.endpoints->n;
}

static void on_established(void *ctx, struct attempt *attempt, struct tls_input *rest);
static void on_failed(void *ctx, struct attempt *attempt, const struct failure *failure);

static const struct attempt_events attempt_events = {on_established, on_failed};

static struct attempt *start(struct dialer *dialer, const struct endpoint *endpoint,
                             struct failure *ret_failure)
{
    struct worker *worker = dialer->worker;
    const struct attempt_plan plan = {
        .loop = &worker->loop,
        .scratch = &worker->scratch,
        .jobs = worker->jobs,
        .is_ahead = dialer->plan.is_ahead,
        .service = dialer->plan.service,
        .events = &attempt_events,
        .ctx = dialer,
    };
    return attempt_start(&plan, endpoint, ret_failure);
}

/* False when that failed at once, which was noted. */
static bool begin(struct dialer *dialer, size_t i)
{
    const struct endpoint *endpoint = endpoint_at(dialer, i);
    struct failure failure;
    struct attempt *attempt = start(dialer, endpoint, &failure);
    if (attempt == NULL) {
        note_failure(dialer, &endpoint->addr, false, &failure);
        /* What this host lacks, it lacks for every address. */
        dialer->budget_spent |=
            failure.reason == REASON_internal || failure.reason == REASON_limit_reached;
        return false;
    }
    struct racer *racer = &dialer->racers[i];
    racer->attempt = attempt;
    racer->resumption = resumption_of(dialer, i);
    if (racer->resumption != NULL && !racer->is_second) {
        resumption_offer(racer->resumption, attempt_tls(attempt));
    }
    dialer->n_running++;
    return true;
}

/* Begins the next attempt that does not fail at once. */
static void begin_next(struct dialer *dialer)
{
    deadline_clear(dialer->pace);
    while (may_begin(dialer)) {
        if (begin(dialer, dialer->n_begun++)) {
            break;
        }
    }
    if (may_begin(dialer)) {
        deadline_set(dialer->pace, PACE_MS);
    }
}

/* To be the last thing that a callback does: tells the owner when nothing can win any more. */
static void settle(struct dialer *dialer)
{
    if (dialer->n_running > 0) {
        return;
    }
    const struct dialer_events *events = dialer->plan.events;
    void *ctx = dialer->plan.ctx;
    struct failure failure = dialer->failure;
    struct addr addr = dialer->failed_addr;
    dialer_cancel(dialer);
    events->lost(ctx, &failure, &addr);
}

/* What is seen of a backend's certificate, be it refused or not; nothing, while another thread is
 * looking at it, or while there is not the memory to look. */
static void note_certificate(struct account *account, const struct tls *tls)
{
    time_t not_after = tls != NULL && headroom_is_there() ? peer_not_after(tls) : 0;
    if (not_after != 0) {
        atomic_store_explicit(&account->backend_not_after, not_after, memory_order_relaxed);
    }
}

static void note_completion(const struct dialer *dialer, const struct attempt *attempt)
{
    struct account *account = dialer->plan.service->account;
    const struct tls *tls = attempt_tls(attempt);
    uint64_t began = attempt_began_ns(attempt), connected = attempt_connected_ns(attempt);
    histogram_add(&account->connecting, (connected - began) / 1000);
    histogram_add(&account->handshaking, (uv_hrtime() - connected) / 1000);
    note_certificate(account, tls);
}

static void on_established(void *ctx, struct attempt *attempt, struct tls_input *rest)
{
    struct dialer *dialer = ctx;
    const struct dialer_events *events = dialer->plan.events;
    void *owner = dialer->plan.ctx;
    struct upstream upstream;
    struct racer *racer = &dialer->racers[index_of(dialer, attempt)];
    note_completion(dialer, attempt);
    attempt_take(attempt, &upstream);
    upstream.resumption = cleanup_steal(racer->resumption);
    if (racer->is_second && upstream.resumption != NULL) {
        resumption_pause(upstream.resumption); /* so it was the ticket */
    }
    if (upstream.resumption != NULL) {
        resumption_collect(upstream.resumption, upstream.tls);
    }
    dialer_cancel(dialer);
    events->won(owner, &upstream, rest);
}

/* True for a backend that took a session which it could not resume amiss, instead of going on with
 * a full handshake as it should (RFC 8446 section 4.2.11): without a ticket it may be content. */
static bool is_about_resumption(const struct attempt *attempt, const struct failure *failure)
{
    const struct tls *tls = attempt_tls(attempt);
    enum side side = reason_side(failure->reason, failure->by_peer);
    return !attempt_is_connecting(attempt) && tls != NULL && tls_has_offered(tls) &&
           (side == SIDE_THEY_REFUSED || failure->reason == REASON_upstream_reset ||
            failure->reason == REASON_tls_protocol);
}

static void tell_second_try(const struct dialer *dialer, const struct addr *addr,
                            const struct failure *failure)
{
    char text[ADDR_TEXT_MAX];
    struct log_line line;
    log_begin(&line, LEVEL_INFO, "resumption refused");
    log_text(&line, "service", dialer->plan.service->name);
    log_text(&line, "upstream", addr_format(addr, text));
    log_reason(&line, failure->reason, failure->by_peer);
    log_text(&line, "detail", failure->detail);
    log_text(&line, "advice", "if it comes back, set session_reuse = no for this service");
    log_end(&line);
}

/* To be the last thing that a callback does. */
static void begin_afresh(struct dialer *dialer, size_t i, const struct failure *failure)
{
    const struct racer *racer = &dialer->racers[i];
    tell_second_try(dialer, attempt_addr(racer->attempt), failure);
    if (racer->resumption != NULL) {
        resumption_forget(racer->resumption);
    }
    drop(dialer, i);
    dialer->racers[i].is_second = true;
    if (!begin(dialer, i)) {
        begin_next(dialer);
        settle(dialer);
    }
}

/* Whatever became of the one that was offered: the others may have the same fault. A backend that
 * stayed silent may have stumbled over it, too. */
static void distrust_tickets(const struct racer *racer, const struct failure *failure)
{
    const struct tls *tls = attempt_tls(racer->attempt);
    if (racer->resumption == NULL || tls == NULL || !tls_has_offered(tls)) {
        return;
    }
    if (failure->reason == REASON_handshake_timeout ||
        is_about_resumption(racer->attempt, failure)) {
        resumption_pause(racer->resumption);
    } else {
        resumption_forget(racer->resumption);
    }
}

static void on_failed(void *ctx, struct attempt *attempt, const struct failure *failure)
{
    struct dialer *dialer = ctx;
    size_t i = index_of(dialer, attempt);
    if (!dialer->budget_spent && is_about_resumption(attempt, failure)) {
        begin_afresh(dialer, i, failure);
        return;
    }
    distrust_tickets(&dialer->racers[i], failure);
    note_certificate(dialer->plan.service->account, attempt_tls(attempt));
    note_failure(dialer, attempt_addr(attempt), !attempt_is_connecting(attempt), failure);
    drop(dialer, i);
    begin_next(dialer);
    settle(dialer);
}

static void on_pace(void *ctx)
{
    begin_next(ctx);
}

/* Ends the attempts that are not connected yet; the others have a deadline of their own. */
static void on_budget(void *ctx)
{
    struct dialer *dialer = ctx;
    struct failure failure;
    failure_set(&failure, REASON_connect_timeout, "no TCP connection within %llu ms",
                (unsigned long long)dialer->plan.service->connect_timeout_ms);
    dialer->budget_spent = true;
    deadline_clear(dialer->pace);
    for (size_t i = 0; i < dialer->n_begun; i++) {
        const struct attempt *attempt = dialer->racers[i].attempt;
        if (attempt != NULL && attempt_is_connecting(attempt)) {
            note_failure(dialer, attempt_addr(attempt), false, &failure);
            drop(dialer, i);
        }
    }
    settle(dialer);
}

static struct dialer *make(struct worker *worker, const struct dialer_plan *plan)
{
    struct dialer *dialer = calloc(1, sizeof(*dialer));
    if (dialer == NULL) {
        return NULL;
    }
    dialer->worker = worker;
    dialer->plan = *plan;
    endpoints_ref(plan->endpoints);
    dialer->racers = calloc(plan->endpoints->n, sizeof(dialer->racers[0]));
    dialer->pace = deadline_new(&worker->loop, on_pace, dialer);
    dialer->budget = deadline_new(&worker->loop, on_budget, dialer);
    if (dialer->racers == NULL || dialer->pace == NULL || dialer->budget == NULL) {
        return dialer_cancel(dialer);
    }
    return dialer;
}

struct dialer *dialer_start(struct worker *worker, const struct dialer_plan *plan,
                            struct failure *ret_failure, struct addr *ret_addr)
{
    struct dialer *dialer = make(worker, plan);
    if (dialer == NULL) {
        failure_set(ret_failure, REASON_internal, "out of memory");
        *ret_addr = plan->endpoints->list[0].addr;
        return NULL;
    }
    deadline_set(dialer->budget, plan->budget_ms);
    begin_next(dialer);
    if (dialer->n_running == 0) {
        *ret_failure = dialer->failure;
        *ret_addr = dialer->failed_addr;
        return dialer_cancel(dialer);
    }
    return dialer;
}

struct dialer *dialer_cancel(struct dialer *dialer)
{
    if (dialer == NULL) {
        return NULL;
    }
    for (size_t i = 0; dialer->racers != NULL && i < dialer->n_begun; i++) {
        attempt_cancel(dialer->racers[i].attempt);
        resumption_unref(dialer->racers[i].resumption);
    }
    deadline_free(dialer->pace);
    deadline_free(dialer->budget);
    endpoints_unref(dialer->plan.endpoints);
    free(dialer->racers);
    free(dialer);
    return NULL;
}
