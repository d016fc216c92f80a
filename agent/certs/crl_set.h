/* The CRL files of a trust. For the room certs/ only. */
#pragma once

#include "certs/crl_file.h"
#include "certs/handles.h"

struct crl_set {
    struct crl_set_member *members;
    struct handles_crls *handles;  /* of each */
    struct trust_crl_facts *facts; /* of each */
    size_t n;
};

/* A CRL that names one of the CAs as its issuer must be signed by it. Returns -1 with a clause in
 * `why` when one of the file is not. */
int crl_set_check(const struct crl_file *file, gnutls_x509_crt_t *cas, size_t n_cas,
                  char why[static CRL_WHY_MAX]);

/* Reads the CRLs of a source, whose CAs are given. A bad file is an error; one that was downloaded
 * is a warning and counts as having no CRL, and may be missing. Returns -1 after noting at least
 * one error. The caller releases what it got. */
int crl_set_load(const struct trust_source *source, gnutls_x509_crt_t *cas, size_t n_cas,
                 struct problems *problems, struct crl_set *ret_set);

/* Warns of the dates of all CRLs that were read from a source. */
void crl_set_warn_of_dates(const struct crl_set *set, const struct trust_source *source,
                           struct problems *problems);

void crl_set_release(struct crl_set *set);

/* True when both came from the same places and hold the same CRLs. */
bool crl_set_equal(const struct crl_set *a, const struct crl_set *b);
