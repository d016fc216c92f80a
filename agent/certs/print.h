/* The fingerprint of a file's content: to see that it has changed without keeping it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct print {
    uint8_t sha256[32];
    bool is_there; /* false: there is no regular file of at most 32 MB that we may read */
};

/* Reads the file at `path` and leaves nothing of it in memory. */
void print_take(const char *path, struct print *ret_print);

/* True when both are of the same content, or of a file that is not there. */
bool print_same(const struct print *a, const struct print *b);
