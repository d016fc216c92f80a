/* A bounded first-in first-out buffer of bytes. It holds no memory while it has never been filled
 * or after it was released. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *mem;
    size_t start, end; /* the bytes held are mem[start] to mem[end - 1] */
    size_t cap;        /* bytes allocated */
    size_t max;        /* bytes it may hold at most */
};

/* Makes an empty buffer that may hold `max` bytes. Allocates nothing. */
void buf_init(struct buf *buf, size_t max);

/* Appends a copy of `len` bytes. Returns -1, with the buffer unchanged, when that would exceed the
 * buffer's maximum or memory is out. */
int buf_append(struct buf *buf, const void *bytes, size_t len);

/* Drops the first `len` bytes held; `len` must not exceed buf_len(). */
void buf_consume(struct buf *buf, size_t len);

/* Drops all bytes and keeps the memory. */
void buf_clear(struct buf *buf);

/* Drops all bytes and frees the memory; the buffer stays usable. */
void buf_release(struct buf *buf);

static inline size_t buf_len(const struct buf *buf)
{
    return buf->end - buf->start;
}

/* The first byte held, valid until the next append; NULL where no memory is. */
static inline const uint8_t *buf_bytes(const struct buf *buf)
{
    return buf->mem != NULL ? buf->mem + buf->start : NULL;
}
