/* A trust anchor set: the CAs that one service's backends must chain to, immutable and shared by
 * reference count. */
#pragma once

#include "base/problems.h"
#include "certs/crl_file.h"
#include "certs/inspect.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct trust;

/* A file of revocation lists, PEM or DER. */
struct trust_crl {
    const char *path;
    const char
        *url; /* NULL: a file of the operator's; else it was downloaded from there, or will be */
    struct place place;
};

/* Where a trust's files are, and where the configuration says so. */
struct trust_source {
    const char *ca; /* PEM, or "system": the system's CAs */
    struct place ca_place;
    const struct trust_crl *crls; /* none: revocation is not looked at */
    size_t n_crls;
};

/* Loads the CAs of a PEM file, or the system's, and the CRLs that go with them. Every file must be
 * good as a whole: a missing, empty or unreadable file, one broken entry among good ones, or a
 * private key is an error with its place. What was or will be downloaded may be missing, and when
 * it is bad that is a warning: it has to come anew. A certificate that is no CA, one that has
 * expired, and a CRL that is out of date are warnings. Backends are refused for want of a CRL; see
 * tls/revocation.h.
 * Returns a reference, or NULL after noting at least one error. */
struct trust *trust_load(const struct trust_source *source, struct problems *problems);

/* Warns of dates as loading it does: they may have come meanwhile. */
void trust_warn_of_dates(const struct trust *trust, const struct trust_source *source,
                         struct problems *problems);

/* Judges CRLs as trust_load() does, before they replace a file: one that names a CA of `ca` as its
 * issuer must be signed by it. Returns -1 with a clause in `why`. */
int trust_check_crls(const char *ca, const struct crl_file *file, char why[static CRL_WHY_MAX]);

/* True when both hold the same CAs, byte for byte, in any order; and when both hold the same CRLs,
 * from the same places. */
bool trust_has_same_cas(const struct trust *a, const struct trust *b);
bool trust_has_same_crls(const struct trust *a, const struct trust *b);

struct trust *trust_ref(struct trust *trust);
struct trust *trust_unref(struct trust *trust); /* accepts NULL; returns NULL */

/* The facts of the CAs, in the order of the file; none for the system's. They live as long as the
 * trust. */
const struct inspect_facts *trust_facts(const struct trust *trust, size_t *ret_n);

/* What is known of one of the trust's CRL files. */
struct trust_crl_facts {
    const char *source; /* its URL, else its path */
    const char *issuer; /* of the first CRL in it; "": not downloaded yet */
    time_t next_update; /* the earliest of the file's; 0: not downloaded yet */
};

/* The facts of the CRLs, one for each file. They live as long as the trust. */
const struct trust_crl_facts *trust_crls(const struct trust *trust, size_t *ret_n);
