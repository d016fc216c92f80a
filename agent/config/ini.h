/* The lines of an INI text, every one accounted for. inih splits keys from values; what it would
 * cut, join or pass over in silence is seen here first. */
#pragma once

#include <stddef.h>

/* What a line can be. All texts are valid during the call only. */
struct ini_events {
    void *ctx;
    /* "[header]": `header` is trimmed. */
    void (*section)(void *ctx, unsigned line, const char *header);
    /* "key = value ; comment": both are trimmed, the comment is gone. */
    void (*key)(void *ctx, unsigned line, const char *key, const char *value);
    /* A line that is neither, nor a comment, nor empty: `why` says what is wrong and what to do. */
    void (*bad)(void *ctx, unsigned line, const char *why);
};

/* Walks through `len` bytes, which a NUL follows. Accepts a byte order mark, CRLF, and a last line
 * without an end. */
void ini_walk(const char *text, size_t len, const struct ini_events *events);
