/* A text that grows as it is written. When memory runs out, what follows is dropped, and the end
 * tells. A writer that is all zero is empty. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
    char *text; /* owned, without a final NUL */
    size_t len, size;
    bool is_broken;
};

void writer_add(struct writer *writer, const char *text);
void writer_add_bytes(struct writer *writer, const char *bytes, size_t len);
void writer_number(struct writer *writer, uint64_t number);
void writer_format(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What stands for a character that has a meaning where the text goes to; NULL: it has none. */
typedef const char *writer_escape(unsigned char c);

/* Adds a text from anywhere: what is no UTF-8 becomes U+FFFD, and of ASCII what `escape` says
 * (NULL: nothing is escaped). */
void writer_untrusted(struct writer *writer, const char *text, writer_escape *escape);

/* Hands the text over, followed by a NUL, and leaves an empty writer. Returns NULL when memory was
 * out. */
char *writer_take(struct writer *writer, size_t *ret_len);

void writer_release(struct writer *writer);
