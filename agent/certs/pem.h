/* PEM files (RFC 7468), block by block. Stricter than GnuTLS's own reader, which skips over what it
 * does not understand. For the room certs/ only. */
#pragma once

#include "base/problems.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>

/* From its BEGIN line to its END line. */
struct pem_block {
    const char *label;
    size_t label_len;
    gnutls_datum_t text; /* borrowed */
    unsigned line;       /* where it begins; the first is 1 */
};

/* Where reading has got to. Start with `end` behind the last byte and `line` 1. */
struct pem_cursor {
    const char *at, *end;
    unsigned line;
};

/* Reads a file, which may hold a key, and notes an error when that fails or when it cannot be PEM.
 * `what` says what the file is for: "certificate". Returns -1 after noting an error. */
int pem_read(const char *path, const char *what, struct place place, struct problems *problems,
             struct secret *ret_text);

struct pem_cursor pem_start(const struct secret *text);

/* Finds the next block; text between blocks is skipped. Returns 1, or 0 when there is none, or -1
 * when BEGIN and END lines do not pair up, with the line at fault in `ret_block->line`. */
int pem_next(struct pem_cursor *cursor, struct pem_block *ret_block);

bool pem_is(const struct pem_block *block, const char *label);

/* True for "PRIVATE KEY" and every label that ends so. */
bool pem_is_key(const struct pem_block *block);
