/* A good answer from DNS: where a host is, and for how long that holds. */
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_MAX 64 /* addresses that are kept of one answer */

struct ares_addrinfo;

struct answer {
    uint32_t ttl_s; /* the least of all records on the way (RFC 2181 section 5.2, RFC 1034 3.6.2) */
    char *aliases;  /* the names on the way (CNAMEs), separated by blanks; "" when there are none */
    uint32_t *ttls_s;    /* of each address's own record */
    size_t n;            /* at least 1 */
    struct addr addrs[]; /* without a port, in the order in which to try them */
};

/* Makes an answer of what c-ares found: duplicates removed, families interleaved as RFC 8305
 * section 4 wants it, beginning with the one c-ares put first and keeping its order (RFC 6724)
 * inside each. The caller frees it. Returns NULL when there is no address in it, or when memory is
 * out. */
struct answer *answer_new(const struct ares_addrinfo *info);

/* For how long to go by the answer: its TTL, but 1 s at least and 5 min at most. */
uint64_t answer_lasts_ms(const struct answer *answer);

/* True when both name the same addresses, in whatever order. */
bool answer_same(const struct answer *a, const struct answer *b);

/* Writes the addresses, separated by spaces, cut to `size`. Returns `text`. */
const char *answer_format(const struct answer *answer, char *text, size_t size);
