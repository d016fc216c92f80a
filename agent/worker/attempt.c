#include "worker/attempt.h"

#include "net/socket.h"
#include "worker/deadline.h"
#include "worker/headroom.h"
#include "worker/offload.h"

#include <errno.h>
#include <stdlib.h>

/* What helps a host that is behind with signing. */
#define SIGNING_ADVICE "an EC key is far quicker, and more workers share the work"

struct attempt {
    struct attempt_plan plan;
    struct upstream upstream; /* its session is the offload's while there is one */
    struct offload *offload;
    bool is_offloaded; /* another thread has begun with the slow part of the handshake */
    struct deadline *deadline;
    bool connecting;
    uint64_t began_ns, connected_ns, offloaded_ns;
};

/* To be the last thing that a callback does: the attempt may be gone when it returns. */
static void fail(struct attempt *attempt, const struct failure *failure)
{
    attempt->plan.events->failed(attempt->plan.ctx, attempt, failure);
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

/* This host lacks something. */
static void fail_on_host(struct attempt *attempt, int error)
{
    struct failure failure;
    socket_explain(error, &failure);
    fail(attempt, &failure);
}

static void fail_on_crowd(struct attempt *attempt, int n_waiting)
{
    struct failure failure;
    failure_set(&failure, REASON_limit_reached,
                "%d handshakes wait for this host to sign them; " SIGNING_ADVICE, n_waiting);
    fail(attempt, &failure);
}

static void want(struct attempt *attempt)
{
    bool reads = attempt->offload == NULL;
    bool unsent = buf_len(&attempt->upstream.unsent) > 0;
    watch_want(attempt->upstream.watch, (reads ? WATCH_READ : 0) | (unsent ? WATCH_WRITE : 0));
}

static void on_offload_done(void *ctx, struct tls *tls, int error, enum tls_status status,
                            struct tls_input *rest, struct buf *flight);

/* Hands what takes long to another thread. Until it is done nothing is read. */
static void offload(struct attempt *attempt, const struct tls_input *in)
{
    attempt->is_offloaded = true;
    attempt->offloaded_ns = uv_hrtime();
    struct job_turn turn = {attempt->plan.service->id, attempt->plan.is_ahead};
    attempt->offload = offload_start(attempt->plan.jobs, turn, attempt->upstream.tls, in,
                                     on_offload_done, attempt);
    if (attempt->offload != NULL) {
        attempt->upstream.tls = NULL;
        want(attempt);
    } else if (errno == EAGAIN) {
        fail_on_crowd(attempt, JOBS_WAITING_MAX);
    } else if (errno == EBUSY) {
        fail_on_crowd(attempt, JOBS_WAITING_ALL_MAX);
    } else {
        fail_on_host(attempt, errno);
    }
}

/* Behind a step of the handshake. */
static void go_on(struct attempt *attempt, enum tls_status status, struct tls_input *in,
                  struct buf *flight)
{
    struct upstream *upstream = &attempt->upstream;
    int rc = status == TLS_DONE ? upstream_hold(upstream, flight) : upstream_send(upstream, flight);
    int error = rc < 0 ? errno : 0;

    if (status == TLS_FAILED) {
        fail(attempt, tls_failure(attempt->upstream.tls)); /* an alert went out, if it could */
    } else if (error == ENOMEM) {
        fail_on_host(attempt, ENOMEM);
    } else if (status == TLS_DONE) {
        deadline_clear(attempt->deadline);
        attempt->plan.events->established(attempt->plan.ctx, attempt, in);
    } else if (status == TLS_WANT_THREAD) {
        offload(attempt, in);
    } else {
        want(attempt);
    }
    /* Any other error of the socket is told again to whoever reads the backend's last words. */
}

static void step(struct attempt *attempt, struct tls_input *in)
{
    struct buf *flight = &attempt->plan.scratch->flight;
    enum tls_status status = tls_handshake(attempt->upstream.tls, in, flight);
    go_on(attempt, status, in, flight);
}

/* Judging a certificate takes many small allocations, and libtasn1 follows a NULL where one of them
 * fails. So a handshake goes on only while more is free than it could need. */
static void step_if_headroom(struct attempt *attempt, struct tls_input *in)
{
    if (headroom_is_there()) {
        step(attempt, in);
    } else {
        fail_on_host(attempt, ENOMEM);
    }
}

/* Where memory is scarce nothing is done at the same time as something else. The loop's heap may
 * also have what no other thread's has: what a crowd left in it. */
static void on_offload_done(void *ctx, struct tls *tls, int error, enum tls_status status,
                            struct tls_input *rest, struct buf *flight)
{
    struct attempt *attempt = ctx;
    attempt->offload = NULL;
    attempt->upstream.tls = tls;
    attempt->is_offloaded = buf_len(flight) == 0; /* else the signature is made */
    if (error != 0) {
        step_if_headroom(attempt, rest);
    } else {
        go_on(attempt, status, rest, flight);
    }
}

/* The session stops once, before what takes long; but the backend's flight may come in pieces, so
 * that a step ends before the signature and a later one makes it. */
static void go_on_with(struct attempt *attempt, struct tls_input *in)
{
    if (attempt->is_offloaded) {
        offload(attempt, in);
    } else {
        step_if_headroom(attempt, in);
    }
}

static void receive(struct attempt *attempt)
{
    uint8_t *cipher = attempt->plan.scratch->cipher;
    ssize_t n = socket_recv(watch_fd(attempt->upstream.watch), cipher, SCRATCH_CIPHER_READ);
    if (n > 0) {
        struct tls_input in = {cipher, (size_t)n};
        go_on_with(attempt, &in);
    } else if (n == 0) {
        fail_on_socket(attempt, 0);
    } else if (!socket_would_block(errno)) {
        fail_on_socket(attempt, errno);
    }
}

/* Without an error the connection is still on its way, and we were told for want of a watch. */
static void fail_to_connect(struct attempt *attempt)
{
    int error = socket_error(watch_fd(attempt->upstream.watch));
    if (error != 0) {
        fail_on_socket(attempt, error);
    } else {
        watch_want(attempt->upstream.watch, WATCH_WRITE);
    }
}

static void on_connected(struct attempt *attempt)
{
    if (!socket_is_connected(watch_fd(attempt->upstream.watch))) {
        fail_to_connect(attempt);
        return;
    }
    attempt->connecting = false;
    attempt->connected_ns = uv_hrtime();
    deadline_set(attempt->deadline, attempt->plan.service->handshake_timeout_ms);
    struct tls_input nothing = {0};
    step(attempt, &nothing); /* there is no certificate yet */
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

/* True where most of the time went by here, not at the backend. */
static bool is_behind(const struct attempt *attempt)
{
    uint64_t theirs = attempt->offloaded_ns - attempt->connected_ns;
    return attempt->offload != NULL && uv_hrtime() - attempt->offloaded_ns > theirs;
}

static void on_deadline(void *ctx)
{
    struct attempt *attempt = ctx;
    bool is_ours = is_behind(attempt);
    struct failure failure;
    failure_set(&failure, is_ours ? REASON_limit_reached : REASON_handshake_timeout,
                "no verified TLS session within %llu ms%s",
                (unsigned long long)attempt->plan.service->handshake_timeout_ms,
                is_ours ? ": this host is behind with signing; " SIGNING_ADVICE : "");
    fail(attempt, &failure);
}

static int open_upstream(struct attempt *attempt, const struct endpoint *endpoint)
{
    struct upstream *upstream = &attempt->upstream;
    buf_init(&upstream->unsent, SCRATCH_CIPHER_MAX);
    upstream->addr = endpoint->addr;
    upstream->tls = tls_new(attempt->plan.service->profile, &endpoint->host);
    if (upstream->tls != NULL && attempt->plan.jobs != NULL) {
        tls_defer(upstream->tls);
    }
    attempt->deadline = deadline_new(attempt->plan.loop, on_deadline, attempt);
    if (upstream->tls == NULL || attempt->deadline == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int fd = socket_connect(&endpoint->addr);
    if (fd < 0) {
        return -1;
    }
    upstream->watch = watch_open(attempt->plan.loop, fd, on_ready, attempt);
    if (upstream->watch == NULL) {
        return -1;
    }
    watch_want(upstream->watch, WATCH_WRITE);
    return 0;
}

struct attempt *attempt_start(const struct attempt_plan *plan, const struct endpoint *endpoint,
                              struct failure *ret_failure)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (attempt == NULL) {
        socket_explain(ENOMEM, ret_failure);
        return NULL;
    }
    attempt->plan = *plan;
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
        offload_cancel(attempt->offload);
        deadline_free(attempt->deadline);
        upstream_close(&attempt->upstream, false);
        free(attempt);
    }
    return NULL;
}
