#include "worker/attempt.h"

#include "net/socket.h"
#include "worker/deadline.h"

#include <errno.h>
#include <stdlib.h>

#define HEADROOM_PIECE  4096 /* bytes */
#define HEADROOM_PIECES 64

struct attempt {
    uv_loop_t *loop;
    struct scratch *scratch;
    const struct service *service;
    const struct attempt_events *events;
    void *ctx;
    struct upstream upstream;
    struct deadline *deadline;
    bool connecting;
    uint64_t began_ns, connected_ns;
};

/* To be the last thing that a callback does: the attempt may be gone when it returns. */
static void fail(struct attempt *attempt, const struct failure *failure)
{
    attempt->events->failed(attempt->ctx, attempt, failure);
}

static void fail_on_socket(struct attempt *attempt, int error)
{
    struct failure failure;
    if (attempt->connecting) {
        socket_explain(error, &failure);
        fail(attempt, &failure);
        return;
    }
    tls_end(attempt->upstream.tls, error);
    fail(attempt, tls_failure(attempt->upstream.tls));
}

static void fail_on_memory(struct attempt *attempt)
{
    struct failure failure;
    socket_explain(ENOMEM, &failure);
    fail(attempt, &failure);
}

static void want(struct attempt *attempt)
{
    bool unsent = buf_len(&attempt->upstream.unsent) > 0;
    watch_want(attempt->upstream.watch, WATCH_READ | (unsent ? WATCH_WRITE : 0));
}

/* Judging a certificate takes many small allocations, and libtasn1 follows a NULL where one of them
 * fails. So a handshake goes on only while more is free than it could need: in pieces, for after a
 * crowd there may be plenty and no large piece in it. */
static bool has_headroom(void)
{
    void *volatile pieces[HEADROOM_PIECES]; /* or the compiler takes the pairs out */
    size_t n = 0;
    while (n < HEADROOM_PIECES && (pieces[n] = malloc(HEADROOM_PIECE)) != NULL) {
        n++;
    }
    bool is_enough = n == HEADROOM_PIECES;
    while (n > 0) {
        free(pieces[--n]);
    }
    return is_enough;
}

static void handshake(struct attempt *attempt, struct tls_input *in)
{
    if (!has_headroom()) {
        fail_on_memory(attempt);
        return;
    }
    struct buf *flight = &attempt->scratch->flight;
    enum tls_status status = tls_handshake(attempt->upstream.tls, in, flight);
    int error = upstream_send(&attempt->upstream, flight) < 0 ? errno : 0;

    if (status == TLS_FAILED) {
        fail(attempt, tls_failure(attempt->upstream.tls)); /* an alert went out, if it could */
    } else if (error == ENOMEM) {
        fail_on_memory(attempt);
    } else if (status == TLS_DONE) {
        deadline_clear(attempt->deadline);
        attempt->events->established(attempt->ctx, attempt, in);
    } else {
        want(attempt);
    }
    /* Any other error of the socket is told again to whoever reads the backend's last words. */
}

static void receive(struct attempt *attempt)
{
    uint8_t *cipher = attempt->scratch->cipher;
    ssize_t n = socket_recv(watch_fd(attempt->upstream.watch), cipher, SCRATCH_CIPHER_READ);
    if (n > 0) {
        struct tls_input in = {cipher, (size_t)n};
        handshake(attempt, &in);
    } else if (n == 0) {
        fail_on_socket(attempt, 0);
    } else if (!socket_would_block(errno)) {
        fail_on_socket(attempt, errno);
    }
}

static void on_connected(struct attempt *attempt)
{
    int error = socket_error(watch_fd(attempt->upstream.watch));
    if (error != 0) {
        fail_on_socket(attempt, error);
        return;
    }
    attempt->connecting = false;
    attempt->connected_ns = uv_hrtime();
    deadline_set(attempt->deadline, attempt->service->handshake_timeout_ms);
    struct tls_input nothing = {0};
    handshake(attempt, &nothing);
}

static void on_ready(void *ctx, unsigned events)
{
    struct attempt *attempt = ctx;
    if (attempt->connecting) {
        on_connected(attempt);
        return;
    }
    if ((events & WATCH_WRITE) != 0 && upstream_flush(&attempt->upstream) < 0) {
        buf_release(&attempt->upstream.unsent);
    }
    want(attempt);
    if ((events & WATCH_READ) != 0) {
        receive(attempt);
    }
}

static void on_deadline(void *ctx)
{
    struct attempt *attempt = ctx;
    struct failure failure;
    failure_set(&failure, REASON_handshake_timeout, "no verified TLS session within %llu ms",
                (unsigned long long)attempt->service->handshake_timeout_ms);
    fail(attempt, &failure);
}

static int open_upstream(struct attempt *attempt, const struct endpoint *endpoint)
{
    struct upstream *upstream = &attempt->upstream;
    buf_init(&upstream->unsent, SCRATCH_CIPHER_MAX);
    upstream->addr = endpoint->addr;
    upstream->tls = tls_new(attempt->service->profile, &endpoint->host);
    attempt->deadline = deadline_new(attempt->loop, on_deadline, attempt);
    if (upstream->tls == NULL || attempt->deadline == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int fd = socket_connect(&endpoint->addr);
    if (fd < 0) {
        return -1;
    }
    upstream->watch = watch_open(attempt->loop, fd, on_ready, attempt);
    if (upstream->watch == NULL) {
        errno = ENOMEM;
        return -1;
    }
    watch_want(upstream->watch, WATCH_WRITE);
    return 0;
}

struct attempt *attempt_start(uv_loop_t *loop, struct scratch *scratch,
                              const struct service *service, const struct endpoint *endpoint,
                              const struct attempt_events *events, void *ctx,
                              struct failure *ret_failure)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (attempt == NULL) {
        socket_explain(ENOMEM, ret_failure);
        return NULL;
    }
    attempt->loop = loop;
    attempt->scratch = scratch;
    attempt->service = service;
    attempt->events = events;
    attempt->ctx = ctx;
    attempt->connecting = true;
    attempt->began_ns = uv_hrtime();
    if (open_upstream(attempt, endpoint) < 0) {
        socket_explain(errno, ret_failure);
        return attempt_cancel(attempt);
    }
    return attempt;
}

bool attempt_is_connecting(const struct attempt *attempt)
{
    return attempt->connecting;
}

const struct addr *attempt_addr(const struct attempt *attempt)
{
    return &attempt->upstream.addr;
}

struct tls *attempt_tls(const struct attempt *attempt)
{
    return attempt->upstream.tls;
}

uint64_t attempt_began_ns(const struct attempt *attempt)
{
    return attempt->began_ns;
}

uint64_t attempt_connected_ns(const struct attempt *attempt)
{
    return attempt->connected_ns;
}

void attempt_take(struct attempt *attempt, struct upstream *ret_upstream)
{
    *ret_upstream = attempt->upstream;
    attempt->upstream = (struct upstream){.addr = ret_upstream->addr};
    buf_init(&attempt->upstream.unsent, 0);
}

struct attempt *attempt_cancel(struct attempt *attempt)
{
    if (attempt != NULL) {
        deadline_free(attempt->deadline);
        upstream_close(&attempt->upstream, false);
        free(attempt);
    }
    return NULL;
}
