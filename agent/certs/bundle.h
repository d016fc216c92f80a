/* The certificates of one file, in its order or in that of a chain. For the room certs/ only. */
#pragma once

#include "base/problems.h"
#include "certs/inspect.h"

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/x509.h>

struct bundle {
    gnutls_x509_crt_t *crts;
    struct inspect_facts *facts; /* of each */
    size_t n;
};

enum bundle_others {
    BUNDLE_SKIP_OTHERS,   /* blocks that are no certificates may stand in the file */
    BUNDLE_REFUSE_OTHERS, /* they are errors */
};

/* Reads all certificates of a PEM file; every one of them must be good, and there must be one.
 * `what` says what the file is for: "certificate". Returns -1 after noting at least one error. The
 * caller owns the bundle (bundle_release). */
int bundle_read(const char *path, const char *what, enum bundle_others others, struct place place,
                struct problems *problems, struct bundle *ret_bundle);

/* Adds a certificate at the end. Takes it over, unless memory is out: then returns -1. */
int bundle_add(struct bundle *bundle, gnutls_x509_crt_t crt);

/* True when `issuer` signed `crt`, as far as names and the signature tell. */
bool bundle_has_issued(gnutls_x509_crt_t issuer, gnutls_x509_crt_t crt);

/* True for a certificate that issued itself. */
bool bundle_is_root(gnutls_x509_crt_t crt);

/* Puts the certificate of the key that has this identifier (see key_id()) first, and behind it each
 * one's issuer, as far as they are there. Where several fit, one that is no root is taken, and of
 * those the one that ends last. Returns how many make the chain, 0 when none is of that key; the
 * others stand behind them. */
size_t bundle_arrange(struct bundle *bundle, const unsigned char *key_id);

/* Leaves the bundle empty; the caller owns what is returned. */
struct bundle bundle_steal(struct bundle *bundle);

/* Drops the certificates from `n` on. */
void bundle_truncate(struct bundle *bundle, size_t n);

/* Warns of certificates that have expired, run out within two weeks, or are not yet valid. */
void bundle_warn_of_dates(const struct bundle *bundle, const char *path, struct place place,
                          struct problems *problems);

/* Frees what a bundle owns and leaves it empty. */
void bundle_release(struct bundle *bundle);
