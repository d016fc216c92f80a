#include "worker/pump.h"

#include "net/socket.h"
#include "worker/relay_fields.h"
#include "worker/verdict.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void moved(struct relay *relay)
{
    relay->moved_ms = uv_now(&relay->worker->loop);
}

/* ---- from the caller to the backend ---- */

static void fail_send(struct relay *relay, int error)
{
    buf_release(&relay->upstream.unsent);
    if (error == ENOMEM) {
        verdict_end(relay, REASON_internal, "out of memory");
    } else if (!relay->upstream_finished) {
        /* The backend's side may hold an alert that says why it left: read on until it ends. */
        relay->send_error = error;
    } else if (!(relay->caller_finished && relay->only_goodbye)) {
        verdict_fail_transport(relay, error);
    }
}

static void send_flight(struct relay *relay)
{
    if (upstream_send(&relay->upstream, &relay->worker->scratch.flight) < 0) {
        fail_send(relay, errno);
    }
}

/* Behind our goodbye nothing is left to be done once the caller has all of the backend's stream. */
static void send_goodbye(struct relay *relay)
{
    struct buf *flight = &relay->worker->scratch.flight;
    int rc = relay->caller_told ? upstream_send_last(&relay->upstream, flight)
                                : upstream_send(&relay->upstream, flight);
    if (rc < 0) {
        fail_send(relay, errno);
    }
}

static void pass_on_end(struct relay *relay)
{
    relay->caller_finished = true;
    relay->heard = relay->received;
    relay->only_goodbye = buf_len(&relay->upstream.unsent) == 0;
    verdict_start_closing(relay); /* before the goodbye, which is nothing to wait for */
    tls_close(relay->upstream.tls, &relay->worker->scratch.flight);
    send_goodbye(relay);
}

static void encrypt(struct relay *relay, const uint8_t *plain, size_t len)
{
    relay->sent += len;
    atomic_fetch_add_explicit(&relay->service->account->sent, len, memory_order_relaxed);
    moved(relay);
    if (tls_write(relay->upstream.tls, plain, len, &relay->worker->scratch.flight) == TLS_FAILED) {
        buf_clear(&relay->worker->scratch.flight);
        verdict_fail_upstream(relay, tls_failure(relay->upstream.tls));
        return;
    }
    send_flight(relay);
}

bool pump_reads_caller(const struct relay *relay)
{
    return !relay->caller_finished && !relay->failing && !relay->over && relay->send_error == 0 &&
           !upstream_is_blocked(&relay->upstream);
}

void pump_up(struct relay *relay)
{
    if (!pump_reads_caller(relay)) {
        return;
    }
    uint8_t *plain = relay->worker->scratch.plain;
    ssize_t n = socket_recv(watch_fd(relay->caller), plain, SCRATCH_PLAIN_READ);
    if (n > 0) {
        encrypt(relay, plain, (size_t)n);
    } else if (n == 0) {
        pass_on_end(relay);
    } else if (!socket_would_block(errno)) {
        verdict_fail_caller(relay, errno);
    }
}

void pump_to_upstream(struct relay *relay)
{
    size_t before = buf_len(&relay->upstream.unsent);
    if (before == 0) {
        return;
    }
    if (upstream_flush(&relay->upstream) < 0) {
        fail_send(relay, errno);
    } else if (buf_len(&relay->upstream.unsent) < before) {
        moved(relay);
    }
}

/* ---- from the backend to the caller ---- */

void pump_to_caller(struct relay *relay)
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
        verdict_fail_caller(relay, errno);
    }
    if (buf_len(buf) == 0) {
        buf_release(buf); /* an idle connection holds no buffer */
    }
}

static void deliver(struct relay *relay, const uint8_t *plain, size_t len, bool is_last)
{
    relay->received += len;
    atomic_fetch_add_explicit(&relay->service->account->received, len, memory_order_relaxed);
    moved(relay);
    int caller = watch_fd(relay->caller);
    ssize_t n = is_last ? socket_send_last(caller, plain, len) : socket_send(caller, plain, len);
    if (n < 0 && !socket_would_block(errno)) {
        verdict_fail_caller(relay, errno);
        return;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    if (buf_append(&relay->to_caller, plain + taken, len - taken) < 0) {
        verdict_end(relay, REASON_internal, "out of memory");
    }
}

void pump_note_acceptance(struct relay *relay)
{
    struct upstream *upstream = &relay->upstream;
    const struct tls *tls = upstream->tls;
    if (!upstream->is_counted && tls_is_confirmed(tls)) {
        upstream->is_counted = true;
        account_note_success(relay->service->account, tls_is_resumed(tls));
        worker_note_acceptance(relay->worker, relay->service);
    }
}

void pump_early(struct relay *relay)
{
    struct buf *early = &relay->upstream.early;
    if (buf_len(early) > 0) {
        deliver(relay, buf_bytes(early), buf_len(early), false);
        buf_release(early);
    }
}

void pump_decrypt(struct relay *relay, struct tls_input *in)
{
    struct tls *tls = relay->upstream.tls;
    size_t len;
    enum tls_status status = upstream_read(&relay->upstream, in, &relay->worker->scratch.flight,
                                           relay->worker->scratch.plain, SCRATCH_PLAIN_MAX, &len);
    assert(in->len == 0 || status == TLS_CLOSED || status == TLS_FAILED); /* there was room */
    pump_note_acceptance(relay);
    if (len > 0) {
        deliver(relay, relay->worker->scratch.plain, len, status == TLS_CLOSED);
    }
    if (buf_len(&relay->worker->scratch.flight) > 0) {
        relay->only_goodbye = false;
        send_flight(relay);
    }
    if (status == TLS_FAILED) {
        verdict_fail_upstream(relay, tls_failure(tls));
    } else if (status == TLS_CLOSED) {
        relay->upstream_finished = true;
        verdict_start_closing(relay);
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

/* Whether all was said cannot be known, so a caller that still listens hears no clean end. */
static void end_in_order(struct relay *relay)
{
    struct failure none;
    failure_set(&none, REASON_ok, "%s", "");
    socket_abort_on_close(watch_fd(relay->caller));
    verdict_fail_upstream(relay, &none);
}

/* The transport ended without close_notify. */
static void end_upstream(struct relay *relay, int error)
{
    bool in_order = error == 0 && relay->send_error == 0;
    if (in_order && relay->service->truncation_is_eof && tls_is_confirmed(relay->upstream.tls)) {
        relay->upstream_finished = true;
        verdict_start_closing(relay);
    } else if (relay->caller_finished && socket_is_gone(watch_fd(relay->caller))) {
        verdict_end(relay, REASON_caller_reset, "the caller left before the answer was complete");
    } else if (was_over(relay)) {
        end_in_order(relay);
    } else {
        verdict_fail_transport(relay, error != 0 ? error : relay->send_error);
    }
}

bool pump_reads_upstream(const struct relay *relay)
{
    return !relay->upstream_finished && !relay->failing && !relay->over &&
           buf_len(&relay->to_caller) == 0;
}

void pump_down(struct relay *relay)
{
    if (!pump_reads_upstream(relay)) {
        return;
    }
    uint8_t *cipher = relay->worker->scratch.cipher;
    ssize_t n = socket_recv(watch_fd(relay->upstream.watch), cipher, SCRATCH_CIPHER_READ);
    if (n > 0) {
        struct tls_input in = {cipher, (size_t)n};
        pump_decrypt(relay, &in);
    } else if (n == 0) {
        end_upstream(relay, 0);
    } else if (!socket_would_block(errno)) {
        end_upstream(relay, errno);
    } else if (relay->send_error != 0) {
        verdict_fail_transport(relay, relay->send_error);
    }
}
