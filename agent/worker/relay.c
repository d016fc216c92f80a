#include "worker/relay.h"

#include "base/clock.h"
#include "net/socket.h"
#include "tls/peer.h"
#include "worker/pump.h"
#include "worker/relay_fields.h"
#include "worker/verdict.h"

#include <stdlib.h>
#include <sys/socket.h>

/* How long to wait before looking again whether the caller's kernel has taken the last bytes before
 * a reset: there is no event for that. Twice as long each time. */
#define LOOK_MIN_MS 10
#define LOOK_MAX_MS 250

/* How often, in the time that a side is given to finish, to look whether it is only slow. */
#define LOOKS 8

/* ---- what follows from where things stand ---- */

/* Passes the backend's end of file on once all that came before it is delivered. */
static void tell_caller(struct relay *relay)
{
    if (relay->upstream_finished && !relay->caller_told && buf_len(&relay->to_caller) == 0) {
        relay->caller_told = true;
        (void)shutdown(watch_fd(relay->caller), SHUT_WR);
    }
}

/* A reset throws away what the caller's kernel has not taken yet, so it waits for that. */
static bool delivered_all(const struct relay *relay)
{
    int caller = watch_fd(relay->caller);
    return socket_is_gone(caller) ||
           (buf_len(&relay->to_caller) == 0 && socket_unacknowledged(caller) == 0);
}

static void judge(struct relay *relay)
{
    if (relay->over) {
        return; /* an end of file after that would speak of more than was delivered */
    }
    tell_caller(relay);
    if (relay->failing && delivered_all(relay)) {
        verdict_conclude(relay);
    } else if (relay->caller_told && relay->caller_finished &&
               buf_len(&relay->upstream.unsent) == 0) {
        verdict_end(relay, REASON_ok, "");
    }
}

static void want(struct relay *relay)
{
    bool reads = pump_reads_caller(relay);
    watch_want(relay->caller,
               (reads ? WATCH_READ : 0) | (buf_len(&relay->to_caller) > 0 ? WATCH_WRITE : 0) |
                   (!reads && !relay->caller_finished && !relay->caller_hung_up ? WATCH_HANGUP
                                                                                : 0));
    watch_want(relay->upstream.watch, (pump_reads_upstream(relay) ? WATCH_READ : 0) |
                                          (buf_len(&relay->upstream.unsent) > 0 ? WATCH_WRITE : 0));
}

/* An idle deadline is not moved with every byte: when it passes, it is set anew to what is left. */
static void set_deadline(struct relay *relay)
{
    uint64_t now = uv_now(&relay->worker->loop);
    uint64_t at = UINT64_MAX;
    if (relay->service->idle_timeout_ms > 0) {
        at = relay->moved_ms + relay->service->idle_timeout_ms;
    }
    if (relay->close_by_ms > 0) {
        at = clock_sooner(at, relay->close_by_ms);
    }
    if (relay->undelivered > 0) {
        at = clock_sooner(at, now + relay->service->close_timeout_ms / LOOKS + 1);
    }
    if (relay->failing && buf_len(&relay->to_caller) == 0) {
        relay->look_ms =
            relay->look_ms == 0 ? LOOK_MIN_MS : clock_sooner(2 * relay->look_ms, LOOK_MAX_MS);
        at = clock_sooner(at, now + relay->look_ms);
    }
    if (at != UINT64_MAX) {
        deadline_set(relay->deadline, at > now ? at - now : 0);
    }
}

/* Ends every event. To be the last thing that a callback does: the relay may be gone afterwards. */
static void settle(struct relay *relay, bool was_closing)
{
    judge(relay);
    if (relay->over) {
        relay->ended(relay->ctx, &relay->failure);
        return;
    }
    want(relay);
    if (relay->failing || (relay->close_by_ms > 0 && !was_closing)) {
        set_deadline(relay);
    }
}

/* ---- events ---- */

static void on_caller(void *ctx, unsigned events)
{
    struct relay *relay = ctx;
    bool was_closing = relay->close_by_ms > 0;
    int error = 0;
    if ((events & WATCH_HANGUP) != 0) {
        relay->caller_hung_up = true;
        error = socket_error(watch_fd(relay->caller));
    }
    if (error != 0) {
        verdict_fail_caller(relay, error);
    }
    if ((events & WATCH_WRITE) != 0) {
        pump_to_caller(relay);
    }
    if ((events & WATCH_READ) != 0) {
        pump_up(relay);
    }
    settle(relay, was_closing);
}

static void on_upstream(void *ctx, unsigned events)
{
    struct relay *relay = ctx;
    bool was_closing = relay->close_by_ms > 0;
    if ((events & WATCH_WRITE) != 0) {
        pump_to_upstream(relay);
    }
    if ((events & WATCH_READ) != 0) {
        pump_down(relay);
    }
    settle(relay, was_closing);
}

static void end_closing(struct relay *relay)
{
    if (relay->failing) {
        verdict_conclude(relay);
    } else {
        verdict_end(relay, REASON_close_timeout,
                    relay->caller_finished ? "the caller had finished, the backend did not"
                                           : "the backend had finished, the caller did not");
    }
}

static void on_deadline(void *ctx)
{
    struct relay *relay = ctx;
    uint64_t now = uv_now(&relay->worker->loop);
    uint64_t idle = relay->service->idle_timeout_ms;
    if (relay->undelivered > 0) {
        verdict_look_at_closing(relay);
    }
    if (relay->close_by_ms > 0 && now >= relay->close_by_ms) {
        end_closing(relay);
    } else if (idle > 0 && now >= relay->moved_ms + idle) {
        verdict_end(relay, REASON_idle_timeout, "no byte moved either way");
    } else if (!relay->failing) {
        set_deadline(relay); /* else settle() does */
    }
    settle(relay, true);
}

struct relay *relay_new(struct worker *worker, const struct service *service, struct watch *caller,
                        struct upstream *upstream, relay_ended *ended, void *ctx)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (relay == NULL) {
        upstream_close(upstream, true);
        return NULL;
    }
    relay->worker = worker;
    relay->service = service;
    relay->ended = ended;
    relay->ctx = ctx;
    relay->caller = caller;
    relay->upstream = *upstream;
    buf_init(&relay->to_caller, SCRATCH_PLAIN_MAX);
    relay->deadline = deadline_new(&worker->loop, on_deadline, relay);
    return relay->deadline != NULL ? relay : relay_free(relay, true);
}

void relay_begin(struct relay *relay, struct tls_input *rest)
{
    watch_hand_over(relay->caller, on_caller, relay);
    watch_hand_over(relay->upstream.watch, on_upstream, relay);
    relay->moved_ms = uv_now(&relay->worker->loop);
    pump_note_acceptance(relay);
    pump_early(relay);
    if (rest->len > 0) {
        pump_decrypt(relay, rest);
    }
    /* What the caller sent while it waited takes the end of our handshake along; else that goes
     * alone. */
    pump_up(relay);
    if (relay->upstream.is_held) {
        pump_to_upstream(relay);
    }
    set_deadline(relay);
    settle(relay, true);
}

uint64_t relay_sent(const struct relay *relay)
{
    return relay->sent;
}

uint64_t relay_received(const struct relay *relay)
{
    return relay->received;
}

bool relay_caller_is_served(const struct relay *relay)
{
    return relay->caller_told;
}

bool relay_is_accepted(const struct relay *relay)
{
    return relay->upstream.is_counted;
}

bool relay_is_quiet(const struct relay *relay, uint64_t ms)
{
    return uv_now(&relay->worker->loop) >= relay->moved_ms + ms &&
           buf_len(&relay->to_caller) == 0 && buf_len(&relay->upstream.unsent) == 0;
}

bool relay_would_pass(struct relay *relay, struct profile *profile, struct failure *ret_failure)
{
    return peer_would_pass(relay->upstream.tls, profile, ret_failure);
}

const struct tls *relay_tls(const struct relay *relay)
{
    return relay->upstream.tls;
}

struct relay *relay_free(struct relay *relay, bool abort)
{
    if (relay != NULL) {
        deadline_free(relay->deadline);
        upstream_close(&relay->upstream, abort);
        buf_release(&relay->to_caller);
        free(relay);
    }
    return NULL;
}
