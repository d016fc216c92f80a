/* A CRL in DER (RFC 5280 section 5.1) taken apart: its list, and the rest. GnuTLS reads the rest
 * only, for with a list of 100,000 it is busy for a minute. For the room certs/ only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

/* A certificate that was revoked. */
struct crl_entry {
    const uint8_t *serial; /* without leading zeros; the date is what follows it */
    size_t len;
};

struct crl_der {
    /* Borrowed from the DER, as the entries' serials are. */
    gnutls_datum_t tbs; /* what is signed */
    gnutls_datum_t signature;
    unsigned salt; /* bytes of it in an RSA-PSS signature (RFC 4055 section 3.1) */
    /* Owned. */
    gnutls_datum_t head;       /* a CRL like this one, but without its list */
    struct crl_entry *entries; /* ordered by crl_entry_compare() */
    size_t n;
};

/* Takes a CRL apart. Returns NULL, or a clause that says what is wrong: it is no CRL, or an entry
 * of it has a critical extension that is not understood (RFC 5280 section 5.3). The caller releases
 * what it got; the DER must outlive it. */
const char *crl_der_split(const uint8_t *der, size_t len, struct crl_der *ret_parts);

void crl_der_release(struct crl_der *parts);

/* The order of entries, for qsort() and bsearch(). */
int crl_entry_compare(const void *a, const void *b);

/* Drops the leading zeros of a serial number, which not everybody writes alike. */
struct crl_entry crl_entry_of(const uint8_t *serial, size_t len);
