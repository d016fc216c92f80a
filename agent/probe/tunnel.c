#include "probe/tunnel.h"

#include "base/cleanup.h"
#include "net/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for others who try, so that ours gets in. */
#define BACKLOG 16

struct tunnel {
    uv_loop_t *loop;
    struct scratch *scratch; /* the loop's */
    struct watch *listener;  /* NULL once the one connection is there */
    struct watch *local;     /* our end of it; NULL before */
    struct upstream upstream;
    struct buf to_local;    /* plaintext that it has not taken yet */
    struct failure failure; /* of the backend's side */
    int send_error;         /* of its socket; its last words are still to be read */
    bool upstream_ended;    /* it says no more */
    bool local_told;        /* and the reader has its end of file */
    bool said_goodbye;      /* the writer's end of file was read, and passed on as close_notify */
    bool reader_gone;
};

/* ---- how it ends ---- */

static void fail_upstream(struct tunnel *tunnel)
{
    if (!tunnel->upstream_ended) {
        tunnel->upstream_ended = true;
        tunnel->failure = *tls_failure(tunnel->upstream.tls);
    }
}

static void fail_transport(struct tunnel *tunnel, int error)
{
    tls_end(tunnel->upstream.tls, error);
    fail_upstream(tunnel);
}

static void lose_reader(struct tunnel *tunnel)
{
    tunnel->reader_gone = true;
    buf_release(&tunnel->to_local);
}

/* ---- to the backend ---- */

/* The backend may have said why it left, in an alert that is still to be read. */
static void fail_send(struct tunnel *tunnel, int error)
{
    buf_release(&tunnel->upstream.unsent);
    if (error == ENOMEM) {
        fail_transport(tunnel, error);
    } else {
        tunnel->send_error = error;
    }
}

static void send_flight(struct tunnel *tunnel)
{
    struct buf *flight = &tunnel->scratch->flight;
    if (tunnel->send_error != 0) {
        buf_clear(flight);
    } else if (buf_len(flight) > 0 && upstream_send(&tunnel->upstream, flight) < 0) {
        fail_send(tunnel, errno);
    }
}

static void say_goodbye(struct tunnel *tunnel)
{
    tunnel->said_goodbye = true;
    tls_close(tunnel->upstream.tls, &tunnel->scratch->flight);
    send_flight(tunnel);
}

static void encrypt(struct tunnel *tunnel, const uint8_t *plain, size_t len)
{
    struct buf *flight = &tunnel->scratch->flight;
    if (tls_write(tunnel->upstream.tls, plain, len, flight) == TLS_FAILED) {
        buf_clear(flight);
        fail_upstream(tunnel);
        return;
    }
    send_flight(tunnel);
}

static bool reads_local(const struct tunnel *tunnel)
{
    return tunnel->local != NULL && !tunnel->said_goodbye && !tunnel->reader_gone &&
           tunnel->send_error == 0 && tunnel->failure.reason == REASON_ok &&
           buf_len(&tunnel->upstream.unsent) == 0;
}

static void carry_up(struct tunnel *tunnel)
{
    if (!reads_local(tunnel)) {
        return;
    }
    uint8_t *plain = tunnel->scratch->plain;
    ssize_t n = socket_recv(watch_fd(tunnel->local), plain, SCRATCH_PLAIN_READ);
    if (n > 0) {
        encrypt(tunnel, plain, (size_t)n);
    } else if (n == 0) {
        say_goodbye(tunnel);
    } else if (!socket_would_block(errno)) {
        lose_reader(tunnel);
    }
}

/* ---- from the backend ---- */

static void flush_to_local(struct tunnel *tunnel)
{
    struct buf *buf = &tunnel->to_local;
    if (tunnel->local == NULL || buf_len(buf) == 0) {
        return;
    }
    ssize_t n = socket_send(watch_fd(tunnel->local), buf_bytes(buf), buf_len(buf));
    if (n >= 0) {
        buf_consume(buf, (size_t)n);
    } else if (!socket_would_block(errno)) {
        lose_reader(tunnel);
    }
}

/* Nothing is read from the backend while anything waits here, so that one read always fits. */
static void deliver(struct tunnel *tunnel, const uint8_t *plain, size_t len)
{
    if (buf_append(&tunnel->to_local, plain, len) < 0) {
        fail_transport(tunnel, ENOMEM);
        return;
    }
    flush_to_local(tunnel);
}

static void decrypt(struct tunnel *tunnel, struct tls_input *in)
{
    struct scratch *scratch = tunnel->scratch;
    size_t len;
    enum tls_status status = tls_read(tunnel->upstream.tls, in, &scratch->flight, scratch->plain,
                                      SCRATCH_PLAIN_MAX, &len);
    assert(in->len == 0 || status == TLS_CLOSED || status == TLS_FAILED); /* there was room */
    deliver(tunnel, scratch->plain, len);
    send_flight(tunnel);
    if (status == TLS_FAILED) {
        fail_upstream(tunnel);
    } else if (status == TLS_CLOSED) {
        tunnel->upstream_ended = true;
    }
}

static bool reads_upstream(const struct tunnel *tunnel)
{
    return !tunnel->upstream_ended && !tunnel->reader_gone && buf_len(&tunnel->to_local) == 0;
}

static void carry_down(struct tunnel *tunnel)
{
    if (!reads_upstream(tunnel)) {
        return;
    }
    uint8_t *cipher = tunnel->scratch->cipher;
    ssize_t n = socket_recv(watch_fd(tunnel->upstream.watch), cipher, SCRATCH_CIPHER_READ);
    int error = n < 0 && !socket_would_block(errno) ? errno : tunnel->send_error;
    if (n > 0) {
        struct tls_input in = {cipher, (size_t)n};
        decrypt(tunnel, &in);
    } else if (n == 0 || error != 0) {
        fail_transport(tunnel, error);
    }
}

/* ---- events ---- */

static void want(struct tunnel *tunnel)
{
    if (tunnel->local != NULL) {
        watch_want(tunnel->local, (reads_local(tunnel) ? WATCH_READ : 0) |
                                      (buf_len(&tunnel->to_local) > 0 ? WATCH_WRITE : 0));
    }
    watch_want(tunnel->upstream.watch,
               (reads_upstream(tunnel) ? WATCH_READ : 0) |
                   (buf_len(&tunnel->upstream.unsent) > 0 ? WATCH_WRITE : 0));
}

static void tell_local(struct tunnel *tunnel)
{
    if (tunnel->upstream_ended && tunnel->local != NULL && !tunnel->local_told &&
        buf_len(&tunnel->to_local) == 0) {
        tunnel->local_told = true;
        (void)shutdown(watch_fd(tunnel->local), SHUT_WR);
    }
}

/* Ends every event. */
static void settle(struct tunnel *tunnel)
{
    tell_local(tunnel);
    want(tunnel);
}

static void on_local(void *ctx, unsigned events)
{
    struct tunnel *tunnel = ctx;
    if ((events & WATCH_WRITE) != 0) {
        flush_to_local(tunnel);
    }
    if ((events & WATCH_READ) != 0) {
        carry_up(tunnel);
    }
    settle(tunnel);
}

static void on_upstream(void *ctx, unsigned events)
{
    struct tunnel *tunnel = ctx;
    if ((events & WATCH_WRITE) != 0 && upstream_flush(&tunnel->upstream) < 0) {
        fail_send(tunnel, errno);
    }
    if ((events & WATCH_READ) != 0) {
        carry_down(tunnel);
    }
    settle(tunnel);
}

/* Anyone on this host may connect to such an address. */
static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == getpid();
}

static void on_caller(void *ctx, unsigned events)
{
    struct tunnel *tunnel = ctx;
    struct addr caller;
    (void)events;
    AUTO_CLOSE int fd = socket_accept(watch_fd(tunnel->listener), &caller);
    if (fd < 0 || !is_ours(fd)) {
        watch_want(tunnel->listener, WATCH_READ); /* after an error nothing is wanted any more */
        return;
    }
    tunnel->listener = watch_close(tunnel->listener);
    tunnel->local = watch_open(tunnel->loop, cleanup_steal_fd(&fd), on_local, tunnel);
    if (tunnel->local == NULL) {
        lose_reader(tunnel);
    }
    flush_to_local(tunnel);
    settle(tunnel);
}

/* ---- its life ---- */

/* In the abstract namespace, where the kernel chooses the name (unix(7), "autobind"). */
static int listen_somewhere(struct tunnel *tunnel, struct addr *ret_addr)
{
    struct addr addr = {.len = sizeof(sa_family_t), .sa.sa_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, &addr.sa, addr.len) < 0 || listen(fd, BACKLOG) < 0) {
        return -1;
    }
    addr.len = sizeof(addr.un);
    if (getsockname(fd, &addr.sa, &addr.len) < 0) {
        return -1;
    }
    tunnel->listener = watch_open(tunnel->loop, cleanup_steal_fd(&fd), on_caller, tunnel);
    if (tunnel->listener == NULL) {
        return -1;
    }
    watch_want(tunnel->listener, WATCH_READ);
    *ret_addr = addr;
    return 0;
}

struct tunnel *tunnel_open(uv_loop_t *loop, struct scratch *scratch, struct upstream *upstream,
                           struct buf *early, struct addr *ret_addr)
{
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel)); /* REASON_ok is 0 */
    if (tunnel == NULL) {
        upstream_close(upstream, false);
        buf_release(early);
        return NULL;
    }
    tunnel->loop = loop;
    tunnel->scratch = scratch;
    tunnel->upstream = *upstream;
    tunnel->to_local = *early;
    if (listen_somewhere(tunnel, ret_addr) < 0) {
        return tunnel_close(tunnel);
    }
    watch_hand_over(tunnel->upstream.watch, on_upstream, tunnel);
    settle(tunnel);
    return tunnel;
}

const struct failure *tunnel_failure(const struct tunnel *tunnel)
{
    return &tunnel->failure;
}

struct tls *tunnel_tls(struct tunnel *tunnel)
{
    return tunnel->upstream.tls;
}

struct tunnel *tunnel_close(struct tunnel *tunnel)
{
    if (tunnel == NULL) {
        return NULL;
    }
    if (!tunnel->said_goodbye && tunnel->failure.reason == REASON_ok) {
        say_goodbye(tunnel);
    }
    watch_close(tunnel->listener);
    watch_close(tunnel->local);
    upstream_close(&tunnel->upstream, false);
    buf_release(&tunnel->to_local);
    free(tunnel);
    return NULL;
}
