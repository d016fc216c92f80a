#include "worker/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/socket.h"
#include "worker/session_fields.h"
#include "worker/warm.h"

#include <stdlib.h>
#include <string.h>

/* For how long no byte may have moved when a connection counts as quiet. */
#define QUIET_MS 1000

static bool is_ordinary(enum reason reason)
{
    switch (reason) {
    case REASON_ok:
    case REASON_caller_closed:
    case REASON_caller_reset:
    case REASON_lifetime_reached:
    case REASON_retired:
        return true;
    default:
        return false;
    }
}

/* True for what makes a service one that fails: whatever kept or took the backend from us, but not
 * the silence of both sides. */
static bool is_of_backend(const struct failure *failure)
{
    return reason_side(failure->reason, failure->by_peer) != SIDE_LOCAL &&
           failure->reason != REASON_idle_timeout && failure->reason != REASON_close_timeout;
}

static void log_relay(struct log_line *line, const struct relay *relay, bool is_warm)
{
    const struct tls *tls = relay_tls(relay);
    log_text(line, "tls", tls_version(tls));
    log_text(line, "cipher", tls_cipher(tls));
    log_bool(line, "resumed", tls_is_resumed(tls));
    log_bool(line, "warm", is_warm);
    log_text(line, "renegotiation", tls_has_declined(tls) ? "declined" : NULL);
    log_number(line, "sent", relay_sent(relay));
    log_number(line, "received", relay_received(relay));
}

static void count_handshake(const struct session *session, const struct failure *failure)
{
    if (session->relay != NULL && !relay_is_accepted(session->relay)) {
        account_note_unconfirmed(session->service->account, failure,
                                 tls_is_resumed(relay_tls(session->relay)));
    }
}

/* Counts the end, and tells at which level its line is written. */
static enum log_level count_end(const struct session *session, const struct failure *failure)
{
    struct account *account = session->service->account;
    struct tally *tally = account->connections;
    tally_add(tally, failure->reason, failure->by_peer);
    count_handshake(session, failure);
    if (is_ordinary(failure->reason)) {
        return LEVEL_INFO;
    }
    if (is_of_backend(failure)) {
        account_note_failure(account, failure);
    }
    bool is_folded = tally_fold(tally, failure, clock_ms(), &session->worker->watcher);
    return is_folded ? LEVEL_DEBUG : LEVEL_WARNING;
}

static const char *advice_on(const struct session *session, const struct failure *failure)
{
    bool is_mute = session->relay == NULL || relay_received(session->relay) == 0;
    return failure->reason == REASON_upstream_truncated && is_mute ? REASON_ADVICE_MUTE
                                                                   : reason_advice(failure->reason);
}

static void tell_end(const struct session *session, const struct failure *failure)
{
    bool ordinary = is_ordinary(failure->reason);
    char text[ADDR_TEXT_MAX];
    struct log_line line;
    log_begin(&line, count_end(session, failure), "connection ended");
    log_text(&line, "service", session->service->name);
    log_text(&line, "caller", addr_format(&session->caller_addr, text));
    if (session->upstream_addr.len > 0) {
        log_text(&line, "upstream", addr_format(&session->upstream_addr, text));
    }
    if (session->relay != NULL) {
        log_relay(&line, session->relay, session->is_warm);
    }
    log_seconds(&line, "duration", uv_now(&session->worker->loop) - session->accepted_ms);
    log_reason(&line, failure->reason, failure->by_peer);
    log_text(&line, "detail", failure->detail[0] != '\0' ? failure->detail : NULL);
    log_text(&line, "advice", ordinary ? NULL : advice_on(session, failure));
    log_end(&line);
}

/* Half an answer must not look like a whole one: anything but an orderly end is a reset for the
 * caller, unless the answer had come to its own end before. */
static bool is_reset(const struct session *session, const struct failure *failure)
{
    return failure->reason != REASON_ok &&
           (session->relay == NULL || !relay_caller_is_served(session->relay));
}

/* The one way out. The place is given back before anyone can see that the connection is over, so
 * that whoever does see it finds the place free. */
static void finish(struct session *session, const struct failure *failure)
{
    struct worker *worker = session->worker;
    if (session->has_place) {
        account_leave(session->service->account);
    }
    tell_end(session, failure);
    if (session->caller != NULL && is_reset(session, failure)) {
        socket_abort_on_close(watch_fd(session->caller));
    }
    dialer_cancel(session->dialer);
    relay_free(session->relay, failure->reason != REASON_ok);
    watch_close(session->caller);
    deadline_free(session->deadline);
    list_remove(&session->queue);
    service_unref(session->service);
    worker_leave(worker, &session->link);
    free(session);
}

static void finish_with(struct session *session, enum reason reason, const char *detail)
{
    struct failure failure;
    failure_set(&failure, reason, "%s", detail);
    finish(session, &failure);
}

static void on_relay_ended(void *ctx, const struct failure *failure)
{
    struct failure copy = *failure; /* it belongs to the relay, which is about to go */
    finish(ctx, &copy);
}

static void begin_relay(struct session *session, struct upstream *upstream, struct tls_input *rest)
{
    session->upstream_addr = upstream->addr;
    session->relay = relay_new(session->worker, session->service, session->caller, upstream,
                               on_relay_ended, session);
    if (session->relay == NULL) {
        finish_with(session, REASON_internal, "out of memory");
        return;
    }
    relay_begin(session->relay, rest);
}

static void on_won(void *ctx, struct upstream *upstream, struct tls_input *rest)
{
    struct session *session = ctx;
    session->dialer = NULL;
    begin_relay(session, upstream, rest);
}

static void on_lost(void *ctx, const struct failure *failure, const struct addr *addr)
{
    struct session *session = ctx;
    session->dialer = NULL;
    session->upstream_addr = *addr;
    finish(session, failure);
}

static uint64_t left_of(const struct session *session, uint64_t total_ms, uint64_t from_ms)
{
    uint64_t spent = uv_now(&session->worker->loop) - from_ms;
    return spent < total_ms ? total_ms - spent : 0;
}

/* Of the time to get connected. */
static uint64_t budget_of(const struct session *session)
{
    return left_of(session, session->service->connect_timeout_ms, session->began_ms);
}

/* Until the end that the terms set, or the next look whether all is quiet. */
static uint64_t left_by(const struct retirement_terms *terms)
{
    uint64_t now = clock_ms();
    if (terms->end_ms == 0) {
        return UINT64_MAX;
    }
    uint64_t left = terms->end_ms > now ? terms->end_ms - now : 0;
    return terms->when_quiet ? clock_sooner(left, QUIET_MS) : left;
}

/* Until the life time is over, or one of the terms. */
static void set_end(struct session *session)
{
    uint64_t lifetime = session->service->max_lifetime_ms;
    uint64_t left = lifetime > 0 ? left_of(session, lifetime, session->accepted_ms) : UINT64_MAX;
    left = clock_sooner(left, left_by(&session->replaced));
    left = clock_sooner(left, left_by(&session->expiring));
    if (left != UINT64_MAX) {
        deadline_set(session->deadline, left);
    }
}

void session_set_end(struct session *session)
{
    deadline_clear(session->deadline);
    set_end(session);
}

static void adopt(struct session *session, struct service *service)
{
    service_ref(service);
    service_unref(session->service);
    session->service = service;
}

/* True when a session that was kept ready serves the caller. */
static bool take_warm(struct session *session, const struct slot *slot)
{
    struct tls_input nothing = {0};
    struct upstream upstream;
    if (slot->warm == NULL || !warm_take(slot->warm, &upstream)) {
        return false;
    }
    session->is_warm = true;
    begin_relay(session, &upstream, &nothing);
    return true;
}

static void dial(struct session *session, const struct slot *slot)
{
    static const struct dialer_events events = {on_won, on_lost};
    struct endpoints *endpoints = slot->endpoints;
    struct failure failure;
    if (endpoints->n == 0) {
        finish_with(session, REASON_dns_failed,
                    endpoints->detail != NULL ? endpoints->detail : "no address is known");
        return;
    }
    session_set_end(session);
    if (take_warm(session, slot)) {
        return;
    }
    const struct dialer_plan plan = {
        .service = session->service,
        .endpoints = endpoints,
        .budget_ms = budget_of(session),
        .events = &events,
        .ctx = session,
    };
    session->dialer = dialer_start(session->worker, &plan, &failure, &session->upstream_addr);
    if (session->dialer == NULL) {
        finish(session, &failure);
    }
}

static void dial_or_wait(struct session *session, struct slot *slot)
{
    if (slot->endpoints != NULL) {
        dial(session, slot);
    } else {
        list_append(&slot->waiting, &session->queue);
        deadline_set(session->deadline, budget_of(session));
    }
}

static bool is_over(const struct session *session, const struct retirement_terms *terms)
{
    return terms->end_ms != 0 && session->relay != NULL &&
           (clock_ms() >= terms->end_ms ||
            (terms->when_quiet && relay_is_quiet(session->relay, QUIET_MS)));
}

static void finish_replaced(struct session *session)
{
    struct failure failure;
    if (session->why == NULL) {
        failure_set(&failure, REASON_retired, "our certificate was replaced");
    } else {
        failure_set(&failure, REASON_retired, "its backend would be refused now: %s", session->why);
    }
    finish(session, &failure);
}

static void on_deadline(void *ctx)
{
    struct session *session = ctx;
    uint64_t lifetime = session->service->max_lifetime_ms;
    if (session->dialer == NULL && session->relay == NULL) {
        finish_with(session, REASON_dns_failed, "no answer from DNS yet");
    } else if (lifetime > 0 && left_of(session, lifetime, session->accepted_ms) == 0) {
        finish_with(session, REASON_lifetime_reached, "max_lifetime is over");
    } else if (is_over(session, &session->replaced)) {
        finish_replaced(session);
    } else if (is_over(session, &session->expiring)) {
        finish_with(session, REASON_retired, "our certificate runs out");
    } else {
        set_end(session);
    }
}

/* Before the relay begins nothing is read from the caller: what it sends waits in the kernel's
 * buffer, which is bounded. An end of file alone may be a half-close, so it does not end anything;
 * behind it nothing more can be watched for, and the attempts' deadlines decide. */
static void on_caller_early(void *ctx, unsigned events)
{
    struct session *session = ctx;
    (void)events;
    int error = socket_error(watch_fd(session->caller));
    if (error != 0) {
        finish_with(session, REASON_caller_closed, strerror(error));
        return;
    }
    watch_want(session->caller, 0);
}

/* For want of memory; the end is told as any other's. */
static void refuse(struct worker *worker, struct service *service, int fd,
                   const struct addr *caller)
{
    struct session session = {.worker = worker, .service = service, .caller_addr = *caller};
    struct failure failure;
    failure_set(&failure, REASON_internal, "out of memory");
    session.accepted_ms = uv_now(&worker->loop);
    socket_abort_on_close(fd);
    close(fd);
    tell_end(&session, &failure);
}

static struct session *make(struct worker *worker, struct slot *slot, int fd)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    session->worker = worker;
    session->service = service_ref(slot->service);
    session->accepted_ms = session->began_ms = uv_now(&worker->loop);
    list_init(&session->queue);
    worker_enter(worker, &session->link);
    session->deadline = deadline_new(&worker->loop, on_deadline, session);
    session->caller = watch_open(&worker->loop, fd, on_caller_early, session);
    return session;
}

void session_start(struct worker *worker, struct slot *slot, int fd, const struct addr *caller)
{
    struct session *session = make(worker, slot, fd);
    atomic_fetch_add_explicit(&slot->service->account->opened, 1, memory_order_relaxed);
    if (session == NULL) {
        refuse(worker, slot->service, fd, caller);
        return;
    }
    session->caller_addr = *caller;
    session->has_place = account_enter(slot->service->account, slot->service->max_connections);
    if (session->deadline == NULL || session->caller == NULL) {
        finish_with(session, REASON_internal, "out of memory");
        return;
    }
    if (!session->has_place) {
        finish_with(session, REASON_limit_reached, "max_connections are open");
        return;
    }
    watch_want(session->caller, WATCH_HANGUP);
    dial_or_wait(session, slot);
}

/* The session has not begun to dial, so it begins with what its service is by now. */
void session_resolved(struct list *waiting, struct slot *slot)
{
    struct session *session = list_item(waiting, struct session, queue);
    list_remove(waiting);
    adopt(session, slot->service);
    dial(session, slot);
}

void session_redial(struct session *session, struct service *now)
{
    session->dialer = dialer_cancel(session->dialer);
    session->began_ms = uv_now(&session->worker->loop);
    adopt(session, now);
    dial_or_wait(session, session->worker->slots[now->id]);
}

void session_turn_away(struct list *waiting)
{
    finish_with(list_item(waiting, struct session, queue), REASON_dns_failed,
                "the service was removed before its address was known");
}

void session_cut(struct list *link)
{
    finish_with(list_item(link, struct session, link), REASON_shutting_down,
                "the agent was told to stop");
}
