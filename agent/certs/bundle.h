/* The certificates of one PEM file, in its order. For the room certs/ only. */
#pragma once

#include "base/problems.h"
#include "certs/inspect.h"

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

/* Reads all certificates of a file; every one of them must be good, and there must be one. `what`
 * says what the file is for: "certificate". Returns -1 after noting at least one error. The caller
 * owns the bundle (bundle_release). */
int bundle_read(const char *path, const char *what, enum bundle_others others, struct place place,
                struct problems *problems, struct bundle *ret_bundle);

/* Drops the certificates from `n` on. */
void bundle_truncate(struct bundle *bundle, size_t n);

/* Warns of certificates that have expired, run out within two weeks, or are not yet valid. */
void bundle_warn_of_dates(const struct bundle *bundle, const char *path, struct place place,
                          struct problems *problems);

/* Frees what a bundle owns and leaves it empty. */
void bundle_release(struct bundle *bundle);
