/* Revocation by CRL (RFC 5280 section 6.3): each certificate on the way from the backend's to one
 * of our CAs, which itself is trusted whatever is said of it, needs a CRL of its issuer that is
 * current and signed by it. Where anything is missing or in doubt the backend is refused.
 *
 * GnuTLS would let pass what it finds no CRL for, or only an old one. It is asked for the way that
 * it took, so that none other is judged. */
#pragma once

#include "base/failure.h"
#include "certs/trust.h"

#include <stdbool.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* The verification of one chain, seen from here. */
struct revocation {
    const struct trust *trust;
    const gnutls_datum_t *leaf;
    gnutls_x509_crt_t below; /* the last certificate that was found good; NULL: none */
    bool reached_leaf;       /* the steps lead from one of our CAs to the backend */
    struct failure failure;  /* of the first step that fails */
};

/* Begins to look on while the session's chain, whose first certificate is `leaf`, is verified by
 * this thread's next gnutls_certificate_verify_peers(). */
void revocation_begin(struct revocation *revocation, gnutls_session_t session,
                      const struct trust *trust, const gnutls_datum_t *leaf);

/* Looks no longer. To be called in any case. */
void revocation_end(struct revocation *revocation, gnutls_session_t session);

/* For a chain that was found good: returns 0, or -1 with cert_revoked or crl_unusable and the
 * evidence. */
int revocation_judge(const struct revocation *revocation, struct failure *ret_failure);
