#include "worker/upstream.h"

#include "net/socket.h"

#include <errno.h>

typedef ssize_t send_how(int fd, const void *bytes, size_t len);

/* Returns the number of bytes taken, 0 when the kernel's buffer is full, or -1. */
static ssize_t offer(const struct upstream *upstream, const struct buf *buf, send_how *how)
{
    if (buf_len(buf) == 0) {
        return 0;
    }
    ssize_t n = how(watch_fd(upstream->watch), buf_bytes(buf), buf_len(buf));
    return n < 0 && socket_would_block(errno) ? 0 : n;
}

int upstream_hold(struct upstream *upstream, struct buf *flight)
{
    int rc = buf_append(&upstream->unsent, buf_bytes(flight), buf_len(flight));
    buf_clear(flight);
    if (rc < 0) {
        errno = ENOMEM;
        return -1;
    }
    upstream->is_held = buf_len(&upstream->unsent) > 0;
    return 0;
}

bool upstream_is_blocked(const struct upstream *upstream)
{
    return buf_len(&upstream->unsent) > 0 && !upstream->is_held;
}

/* What is held goes first, in the same piece. */
static int send_held(struct upstream *upstream, struct buf *flight)
{
    int rc = buf_append(&upstream->unsent, buf_bytes(flight), buf_len(flight));
    buf_clear(flight);
    if (rc < 0) {
        errno = ENOMEM;
        return -1;
    }
    return upstream_flush(upstream);
}

static int send_by(struct upstream *upstream, struct buf *flight, send_how *how)
{
    int rc = 0;
    if (upstream->is_held) {
        return send_held(upstream, flight);
    }
    if (buf_len(&upstream->unsent) == 0) {
        ssize_t n = offer(upstream, flight, how);
        if (n < 0) {
            rc = -1;
        } else {
            buf_consume(flight, (size_t)n);
        }
    }
    if (rc == 0 && buf_append(&upstream->unsent, buf_bytes(flight), buf_len(flight)) < 0) {
        errno = ENOMEM;
        rc = -1;
    }
    buf_clear(flight);
    return rc;
}

int upstream_send(struct upstream *upstream, struct buf *flight)
{
    return send_by(upstream, flight, socket_send);
}

int upstream_send_last(struct upstream *upstream, struct buf *flight)
{
    return send_by(upstream, flight, socket_send_last);
}

int upstream_flush(struct upstream *upstream)
{
    upstream->is_held = false;
    ssize_t n = offer(upstream, &upstream->unsent, socket_send);
    if (n < 0) {
        return -1;
    }
    buf_consume(&upstream->unsent, (size_t)n);
    if (buf_len(&upstream->unsent) == 0) {
        buf_release(&upstream->unsent); /* an idle connection holds no buffer */
    }
    return 0;
}

enum tls_status upstream_read(struct upstream *upstream, struct tls_input *in, struct buf *out,
                              uint8_t *plain, size_t size, size_t *ret_len)
{
    enum tls_status status = tls_read(upstream->tls, in, out, plain, size, ret_len);
    if (upstream->resumption == NULL) {
        return status;
    }
    resumption_collect(upstream->resumption, upstream->tls);
    if (status == TLS_FAILED && !tls_is_confirmed(upstream->tls)) {
        resumption_forget(upstream->resumption);
    }
    return status;
}

void upstream_close(struct upstream *upstream, bool abort)
{
    if (upstream->watch != NULL && abort) {
        socket_abort_on_close(watch_fd(upstream->watch));
    }
    upstream->watch = watch_close(upstream->watch);
    upstream->tls = tls_free(upstream->tls);
    upstream->resumption = resumption_unref(upstream->resumption);
    buf_release(&upstream->unsent);
    buf_release(&upstream->early);
}
