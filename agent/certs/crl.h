/* Certificate revocation lists (RFC 5280 section 5), immutable. Only complete lists of a CA's own
 * certificates are taken: what lists a part of them, or other CAs', would let revoked ones pass. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CRL_WHY_MAX 256 /* bytes of a clause that says what is wrong, the final NUL included */

struct crl;

/* Reads a CRL in DER and takes the bytes over, which came from malloc(), also on failure. Returns
 * NULL with a clause in `why` when it is damaged, or is none that can be used: it must say when the
 * next one comes, be signed with an algorithm that is strong enough, be neither a delta nor an
 * indirect nor a partitioned CRL, and have no critical extension that is not understood. */
struct crl *crl_parse(uint8_t *der, size_t len, char why[static CRL_WHY_MAX]);

struct crl *crl_free(struct crl *crl); /* accepts NULL; returns NULL */

const char *crl_issuer(const struct crl *crl); /* for people: RFC 4514 */
time_t crl_this_update(const struct crl *crl);
time_t crl_next_update(const struct crl *crl);

/* True when the next one should have come by now; and when it is dated ahead of `now` by more than
 * clocks differ. Neither may be relied on. */
bool crl_is_stale(const struct crl *crl, time_t now);
bool crl_is_early(const struct crl *crl, time_t now);

size_t crl_length(const struct crl *crl); /* certificates in it */

/* True when the list has this serial number, in DER without tag and length; `*ret_when` is then the
 * day of its revocation, -1 if that cannot be read. */
bool crl_lists(const struct crl *crl, const uint8_t *serial, size_t len, time_t *ret_when);

bool crl_equal(const struct crl *a, const struct crl *b); /* byte for byte */
