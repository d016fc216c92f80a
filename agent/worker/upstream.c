#include "worker/upstream.h"

#include "net/socket.h"

#include <errno.h>

/* Returns the number of bytes taken, 0 when the kernel's buffer is full, or -1. */
static ssize_t offer(const struct upstream *upstream, const struct buf *buf)
{
    if (buf_len(buf) == 0) {
        return 0;
    }
    ssize_t n = socket_send(watch_fd(upstream->watch), buf_bytes(buf), buf_len(buf));
    return n < 0 && socket_would_block(errno) ? 0 : n;
}

int upstream_send(struct upstream *upstream, struct buf *flight)
{
    int rc = 0;
    if (buf_len(&upstream->unsent) == 0) {
        ssize_t n = offer(upstream, flight);
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

int upstream_flush(struct upstream *upstream)
{
    ssize_t n = offer(upstream, &upstream->unsent);
    if (n < 0) {
        return -1;
    }
    buf_consume(&upstream->unsent, (size_t)n);
    if (buf_len(&upstream->unsent) == 0) {
        buf_release(&upstream->unsent); /* an idle connection holds no buffer */
    }
    return 0;
}

void upstream_close(struct upstream *upstream, bool abort)
{
    if (upstream->watch != NULL && abort) {
        socket_abort_on_close(watch_fd(upstream->watch));
    }
    upstream->watch = watch_close(upstream->watch);
    upstream->tls = tls_free(upstream->tls);
    buf_release(&upstream->unsent);
}
