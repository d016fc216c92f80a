/* Where a thread that carries TLS works: one for each thread, not for each connection. What is in
 * it belongs to one callback; between two it is empty. */
#pragma once

#include "base/buf.h"
#include "tls/tls.h"

#include <stddef.h>
#include <stdint.h>

/* One read from a caller, and from a backend: large enough to make system calls rare, small enough
 * that no connection keeps the others waiting. */
#define SCRATCH_PLAIN_READ  ((size_t)64 * 1024)
#define SCRATCH_CIPHER_READ ((size_t)128 * 1024)

/* The plaintext of one read from a backend, with what was held back of a record before it. */
#define SCRATCH_PLAIN_MAX (SCRATCH_CIPHER_READ + (size_t)2 * TLS_RECORD_MAX)

/* Ciphertext that one operation may produce: a read from a caller, with the records' overhead, or a
 * handshake flight. */
#define SCRATCH_CIPHER_MAX ((size_t)256 * 1024)

struct scratch {
    uint8_t *plain;    /* SCRATCH_PLAIN_MAX */
    uint8_t *cipher;   /* SCRATCH_CIPHER_READ */
    struct buf flight; /* ciphertext on its way out */
};

/* Returns -1 when memory is out; to be released in either case. */
int scratch_init(struct scratch *scratch);

void scratch_release(struct scratch *scratch);
