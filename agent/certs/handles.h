/* GnuTLS's view of identities and trust anchors: for the rooms certs/ and tls/ only. */
#pragma once

#include "certs/crl.h"
#include "certs/identity.h"
#include "certs/inspect.h"
#include "certs/trust.h"

#include <stdbool.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* What we present: everything lives as long as the identity. */
struct handles_identity {
    gnutls_pcert_st *chain; /* leaf first, without a self-signed root */
    unsigned n_chain;
    gnutls_privkey_t key;
    gnutls_datum_t *issuers; /* raw DER issuer name of each certificate of the chain */
};

const struct handles_identity *handles_of_identity(const struct identity *identity);

/* True when a signature with the identity's key takes so long that whoever waits for it notices:
 * more than some tenths of a millisecond. */
bool handles_signs_slowly(const struct identity *identity);

/* What a session tells handles_retrieve(), and hears from it. The first field of whatever
 * gnutls_session_set_ptr() is given, for every session that uses handles_of_trust(). */
struct handles_session {
    const struct identity *identity; /* NULL: present no certificate */
    bool notes_accepted;             /* fill in `accepted` in any case */
    bool asked;                      /* out: the backend asked for a certificate, of any kind */
    bool issuer_matched;             /* out: it named an issuer of our chain, or no issuer at all */
    char *accepted; /* out: some of the issuers that it named, for people: "CN=A or CN=B"; NULL
                     * where one of them is ours; owned by whoever owns the session */
};

/* A gnutls_certificate_retrieve_function3: presents the session's identity, whatever issuers the
 * backend names, for they need not be byte for byte those of our chain; without an identity an
 * empty list (RFC 8446 section 4.4.2). Nothing changes hands. Called again when the backend asks
 * again after the handshake. */
int handles_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *request,
                     gnutls_pcert_st **ret_chain, unsigned *ret_n_chain,
                     gnutls_ocsp_data_st **ret_staples, unsigned *ret_n_staples,
                     gnutls_privkey_t *ret_key, unsigned *ret_flags);

/* The credentials that hold the trust list, with handles_retrieve() set. They live as long as the
 * trust; a session must hold a reference to the trust while it uses them. Never changed after
 * loading, so they may be shared by threads.
 *
 * They carry no verification profile: GnuTLS joins theirs and the priority's by OR, which makes a
 * third one of the two (LOW and MEDIUM make ULTRA). The priority must carry it: %PROFILE_MEDIUM,
 * also behind a string of the operator's, for NORMAL alone brings LOW. */
gnutls_certificate_credentials_t handles_of_trust(const struct trust *trust);

/* True when the certificate itself is one of the trust's CAs. */
bool handles_is_anchor(const struct trust *trust, gnutls_x509_crt_t crt);

/* What came of one of a trust's CRL files. Everything lives as long as the trust; a CRL may be
 * shared by threads. */
struct handles_crls {
    const char *source; /* its URL, else its path */
    struct crl *const *crls;
    size_t n;
    const char *fault; /* why there are none; NULL: they are yet to be downloaded */
};

/* One for each file; `*ret_n` 0: revocation is not looked at. */
const struct handles_crls *handles_crls_of_trust(const struct trust *trust, size_t *ret_n);

/* True when the CRL names the certificate's subject as its issuer; and when that one's key signed
 * it, which is remembered for the next time. */
bool handles_crl_names(const struct crl *crl, gnutls_x509_crt_t issuer);
bool handles_crl_verify(struct crl *crl, gnutls_x509_crt_t issuer);

/* Reads one certificate's facts; strings are new. Returns -1 when memory is out. */
int handles_inspect(gnutls_x509_crt_t crt, struct inspect_facts *ret_facts);
