/* GnuTLS's view of identities and trust anchors: for the rooms certs/ and tls/ only. */
#pragma once

#include "certs/identity.h"
#include "certs/trust.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* What a retrieve callback hands to GnuTLS. Everything lives as long as the identity. */
struct handles_identity {
    gnutls_pcert_st *chain;
    unsigned n_chain;
    gnutls_privkey_t key;
    gnutls_datum_t *issuers; /* raw DER issuer name of each certificate of the chain */
};

const struct handles_identity *handles_of_identity(const struct identity *identity);

/* The credentials that hold the trust list, with the retrieve callback unset. They live as long as
 * the trust; a session must hold a reference to the trust while it uses them. Never changed after
 * loading, so they may be shared by threads. */
gnutls_certificate_credentials_t handles_of_trust(const struct trust *trust);

/* Reads one certificate's facts; strings are new. Returns -1 when memory is out. */
int handles_inspect(gnutls_x509_crt_t crt, struct inspect_facts *ret_facts);
