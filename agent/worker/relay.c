#include "worker/relay.h"

#include "base/buf.h"
#include "net/socket.h"
#include "worker/deadline.h"
#include "worker/worker_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* How often to look whether the caller's kernel has taken the last bytes before a reset. There is
 * no event for that. */
#define LAST_BYTES_MS 10

struct relay {
    struct worker *worker;
    const struct service *service;
    relay_ended *ended;
    void *ctx;

    struct watch *caller; /* borrowed */
    struct upstream upstream;
    struct buf to_caller; /* plaintext that the caller's kernel has not taken yet */
    struct deadline *deadline;

    uint64_t sent, received;
    uint64_t moved_ms;    /* when a byte last moved, either way */
    uint64_t close_by_ms; /* 0: no side has finished yet */

    bool caller_finished;   /* the caller's end of file was read, and passed on as close_notify */
    bool caller_hung_up;    /* told of while we were not reading */
    bool upstream_finished; /* the backend's stream is complete */
    bool caller_told;       /* and the caller has its end of file */
    bool only_goodbye;      /* what is unsent to the backend is close_notify alone */
    uint64_t heard;         /* what had been received when the caller finished */
    int send_error;         /* of the upstream's socket; its last words are still to be read */

    bool
        failing; /* the backend's side has failed: what came before is delivered, then it is over */
    bool over;
    struct failure failure;
};

/* ---- verdicts: they take effect when the event has been dealt with, see settle() ---- */

static void finish(struct relay *relay, enum reason reason, const char *detail)
{
    if (!relay->over) {
        relay->over = true;
        failure_set(&relay->failure, reason, "%s", detail);
    }
}

static void start_closing(struct relay *relay)
{
    if (relay->close_by_ms == 0) {
        relay->close_by_ms = uv_now(&relay->worker->loop) + relay->service->close_timeout_ms;
    }
}

static void fail_upstream(struct relay *relay, const struct failure *failure)
{
    if (!relay->failing && !relay->over) {
        relay->failing = true;
        relay->failure = *failure;
        start_closing(relay);
    }
}

static void fail_transport(struct relay *relay, int error)
{
    tls_end(relay->upstream.tls, error);
    fail_upstream(relay, tls_failure(relay->upstream.tls));
}

static void fail_caller(struct relay *relay, int error)
{
    if (!relay->failing) {
        finish(relay, REASON_caller_reset, strerror(error));
    } else {
        relay->over = true; /* the backend's failure is the reason; there is nobody left to tell */
    }
}

static void moved(struct relay *relay)
{
    relay->moved_ms = uv_now(&relay->worker->loop);
}

/* ---- from the caller to the backend ---- */

static void fail_send(struct relay *relay, int error)
{
    buf_release(&relay->upstream.unsent);
    if (!relay->upstream_finished) {
        /* The backend's side may hold an alert that says why it left: read on until it ends. */
        relay->send_error = error;
    } else if (!(relay->caller_finished && relay->only_goodbye)) {
        fail_transport(relay, error);
    }
}

static void send_flight(struct relay *relay)
{
    if (upstream_send(&relay->upstream, &relay->worker->flight) < 0) {
        fail_send(relay, errno);
    }
}

static void pass_on_end(struct relay *relay)
{
    relay->caller_finished = true;
    relay->heard = relay->received;
    relay->only_goodbye = buf_len(&relay->upstream.unsent) == 0;
    start_closing(relay);
    tls_close(relay->upstream.tls, &relay->worker->flight);
    send_flight(relay);
}

static void encrypt(struct relay *relay, const uint8_t *plain, size_t len)
{
    relay->sent += len;
    moved(relay);
    if (tls_write(relay->upstream.tls, plain, len, &relay->worker->flight) == TLS_FAILED) {
        buf_clear(&relay->worker->flight);
        fail_upstream(relay, tls_failure(relay->upstream.tls));
        return;
    }
    send_flight(relay);
}

static bool reads_caller(const struct relay *relay)
{
    return !relay->caller_finished && !relay->failing && !relay->over && relay->send_error == 0 &&
           buf_len(&relay->upstream.unsent) == 0;
}

static void pump_up(struct relay *relay)
{
    if (!reads_caller(relay)) {
        return;
    }
    uint8_t *plain = relay->worker->plain;
    ssize_t n = socket_recv(watch_fd(relay->caller), plain, WORKER_PLAIN_READ);
    if (n > 0) {
        encrypt(relay, plain, (size_t)n);
    } else if (n == 0) {
        pass_on_end(relay);
    } else if (!socket_would_block(errno)) {
        fail_caller(relay, errno);
    }
}

/* ---- from the backend to the caller ---- */

static void flush_to_caller(struct relay *relay)
{
    struct buf *buf = &relay->to_caller;
    if (buf_len(buf) == 0) {
        return;
    }
    ssize_t n = socket_send(watch_fd(relay->caller), buf_bytes(buf), buf_len(buf));
    if (n >= 0) {
        moved(relay);
        buf_consume(buf, (size_t)n);
    } else if (!socket_would_block(errno)) {
        buf_clear(buf);
        fail_caller(relay, errno);
    }
    if (buf_len(buf) == 0) {
        buf_release(buf); /* an idle connection holds no buffer */
    }
}

static void deliver(struct relay *relay, const uint8_t *plain, size_t len)
{
    relay->received += len;
    moved(relay);
    ssize_t n = socket_send(watch_fd(relay->caller), plain, len);
    if (n < 0 && !socket_would_block(errno)) {
        fail_caller(relay, errno);
        return;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    if (buf_append(&relay->to_caller, plain + taken, len - taken) < 0) {
        finish(relay, REASON_internal, "out of memory");
    }
}

static void decrypt(struct relay *relay, struct tls_input *in)
{
    struct tls *tls = relay->upstream.tls;
    size_t len;
    enum tls_status status =
        tls_read(tls, in, &relay->worker->flight, relay->worker->plain, WORKER_PLAIN_MAX, &len);
    if (len > 0) {
        deliver(relay, relay->worker->plain, len);
    }
    if (buf_len(&relay->worker->flight) > 0) {
        relay->only_goodbye = false;
        send_flight(relay);
    }
    if (status == TLS_FAILED) {
        fail_upstream(relay, tls_failure(tls));
    } else if (status == TLS_CLOSED) {
        relay->upstream_finished = true;
        start_closing(relay);
    }
}

/* Many backends answer our close_notify by closing without one of theirs. Where the exchange was
 * over and nothing came after it, that is how such a connection ends, not a truncation worth a
 * warning. */
static bool was_over(const struct relay *relay)
{
    return relay->caller_finished && relay->heard == relay->received &&
           (relay->received > 0 || relay->sent == 0) &&
           (buf_len(&relay->upstream.unsent) == 0 || relay->only_goodbye);
}

/* The transport ended without close_notify. */
static void end_upstream(struct relay *relay, int error)
{
    if (relay->caller_finished && socket_is_gone(watch_fd(relay->caller))) {
        finish(relay, REASON_caller_reset, "the caller left before the answer was complete");
        return;
    }
    if (was_over(relay)) {
        /* Whether all was said cannot be known, so a caller that still listens hears no clean end.
         */
        socket_abort_on_close(watch_fd(relay->caller));
        finish(relay, REASON_ok, "");
        return;
    }
    if (error == 0 && relay->send_error == 0 && relay->service->truncation_is_eof &&
        tls_is_confirmed(relay->upstream.tls)) {
        relay->upstream_finished = true;
        start_closing(relay);
        return;
    }
    fail_transport(relay, error != 0 ? error : relay->send_error);
}

static bool reads_upstream(const struct relay *relay)
{
    return !relay->upstream_finished && !relay->failing && !relay->over &&
           buf_len(&relay->to_caller) == 0;
}

static void pump_down(struct relay *relay)
{
    if (!reads_upstream(relay)) {
        return;
    }
    uint8_t *cipher = relay->worker->cipher;
    ssize_t n = socket_recv(watch_fd(relay->upstream.watch), cipher, WORKER_CIPHER_READ);
    if (n > 0) {
        struct tls_input in = {cipher, (size_t)n};
        decrypt(relay, &in);
    } else if (n == 0) {
        end_upstream(relay, 0);
    } else if (!socket_would_block(errno)) {
        end_upstream(relay, errno);
    } else if (relay->send_error != 0) {
        fail_transport(relay, relay->send_error);
    }
}

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
    tell_caller(relay);
    if (relay->failing && delivered_all(relay)) {
        relay->over = true;
    } else if (relay->caller_told && relay->caller_finished &&
               buf_len(&relay->upstream.unsent) == 0) {
        finish(relay, REASON_ok, "");
    }
}

static void want(struct relay *relay)
{
    bool reads = reads_caller(relay);
    watch_want(relay->caller,
               (reads ? WATCH_READ : 0) | (buf_len(&relay->to_caller) > 0 ? WATCH_WRITE : 0) |
                   (!reads && !relay->caller_finished && !relay->caller_hung_up ? WATCH_HANGUP
                                                                                : 0));
    watch_want(relay->upstream.watch, (reads_upstream(relay) ? WATCH_READ : 0) |
                                          (buf_len(&relay->upstream.unsent) > 0 ? WATCH_WRITE : 0));
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
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
        at = sooner(at, relay->close_by_ms);
    }
    if (relay->failing && buf_len(&relay->to_caller) == 0) {
        at = sooner(at, now + LAST_BYTES_MS);
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
        fail_caller(relay, error);
    }
    if ((events & WATCH_WRITE) != 0) {
        flush_to_caller(relay);
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
        moved(relay);
        if (upstream_flush(&relay->upstream) < 0) {
            fail_send(relay, errno);
        }
    }
    if ((events & WATCH_READ) != 0) {
        pump_down(relay);
    }
    settle(relay, was_closing);
}

static void on_deadline(void *ctx)
{
    struct relay *relay = ctx;
    uint64_t now = uv_now(&relay->worker->loop);
    uint64_t idle = relay->service->idle_timeout_ms;
    if (relay->close_by_ms > 0 && now >= relay->close_by_ms) {
        if (relay->failing) {
            relay->over = true;
        } else {
            finish(relay, REASON_close_timeout,
                   relay->caller_finished ? "the caller had finished, the backend did not"
                                          : "the backend had finished, the caller did not");
        }
    } else if (idle > 0 && now >= relay->moved_ms + idle) {
        finish(relay, REASON_idle_timeout, "no byte moved either way");
    } else {
        set_deadline(relay);
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
    buf_init(&relay->to_caller, WORKER_PLAIN_MAX);
    relay->deadline = deadline_new(&worker->loop, on_deadline, relay);
    return relay->deadline != NULL ? relay : relay_free(relay, true);
}

void relay_begin(struct relay *relay, struct tls_input *rest)
{
    watch_hand_over(relay->caller, on_caller, relay);
    watch_hand_over(relay->upstream.watch, on_upstream, relay);
    moved(relay);
    if (rest->len > 0) {
        decrypt(relay, rest);
    }
    pump_up(relay); /* what the caller sent while it waited */
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
