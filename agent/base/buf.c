#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 1024

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

/* Makes room for `len` more bytes behind `end`: first by moving what is held to the front, then by
 * doubling, so that a long series of appends costs linear time. */
static int reserve(struct buf *buf, size_t len)
{
    if (buf->cap - buf->end >= len) {
        return 0;
    }
    size_t held = buf_len(buf);
    if (held > 0 && buf->start > 0) {
        memmove(buf->mem, buf->mem + buf->start, held);
    }
    buf->start = 0;
    buf->end = held;
    if (buf->cap - held >= len) {
        return 0;
    }

    size_t cap = buf->cap > 0 ? buf->cap : SMALLEST;
    while (cap - held < len) {
        cap *= 2;
    }
    uint8_t *mem = realloc(buf->mem, cap < buf->max ? cap : buf->max);
    if (mem == NULL) {
        return -1;
    }
    buf->mem = mem;
    buf->cap = cap < buf->max ? cap : buf->max;
    return 0;
}

int buf_append(struct buf *buf, const void *bytes, size_t len)
{
    if (len > buf->max - buf_len(buf) || reserve(buf, len) < 0) {
        return -1;
    }
    if (len > 0) {
        memcpy(buf->mem + buf->end, bytes, len);
        buf->end += len;
    }
    return 0;
}

void buf_consume(struct buf *buf, size_t len)
{
    buf->start += len;
    if (buf->start == buf->end) {
        buf_clear(buf);
    }
}

void buf_clear(struct buf *buf)
{
    buf->start = buf->end = 0;
}

void buf_release(struct buf *buf)
{
    free(buf->mem);
    buf_init(buf, buf->max);
}
