#include "tls/verify.h"

#include "base/cleanup.h"
#include "certs/der.h"
#include "certs/release.h"
#include "tls/pin.h"
#include "tls/profile_fields.h"
#include "tls/refusal.h"
#include "tls/revocation.h"
#include "tls/san.h"

#include <stdint.h>
#include <string.h>

#include <gnutls/x509.h>

static int check_chain(gnutls_session_t session, const gnutls_datum_t *chain, unsigned n,
                       const struct profile *profile, struct failure *ret_failure)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_SERVER,
    };
    unsigned status = GNUTLS_CERT_INVALID;
    struct revocation revocation;
    revocation_begin(&revocation, session, profile->trust, &chain[0]);
    int rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    revocation_end(&revocation, session);
    if (rc < 0) {
        failure_set(ret_failure,
                    rc == GNUTLS_E_MEMORY_ERROR ? REASON_internal : REASON_cert_untrusted,
                    "its chain of %u cannot be verified: %s", n, gnutls_strerror(rc));
        return -1;
    }
    if (status == 0) {
        return revocation_judge(&revocation, ret_failure);
    }
    refusal_explain(chain, n, status, profile->trust, ret_failure);
    return -1;
}

/* A CA's own certificate must not serve: who holds an intermediate's key is not every host below
 * it. */
static int check_leaf(gnutls_x509_crt_t leaf, struct failure *ret_failure)
{
    if (gnutls_x509_crt_get_basic_constraints(leaf, NULL, NULL, NULL) > 0) {
        failure_set(ret_failure, REASON_cert_purpose, "its certificate is that of a CA");
        return -1;
    }
    unsigned usage = 0;
    if (gnutls_x509_crt_get_key_usage(leaf, &usage, NULL) == 0 &&
        (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) == 0) {
        failure_set(ret_failure, REASON_cert_purpose,
                    "its certificate's key usage lacks digitalSignature");
        return -1;
    }
    return 0;
}

static int check_names(gnutls_x509_crt_t leaf, const struct profile *profile,
                       const struct name *host, struct failure *ret_failure)
{
    const struct name *names = profile->names;
    size_t n = profile->n_names;
    struct name sni = {.kind = NAME_DNS, .text = profile->sni_name};
    if (n == 0) {
        names = profile->sni == PROFILE_SNI_NAME ? &sni : host;
        n = 1;
    }
    return san_check(leaf, names, n, profile->allow_common_name, ret_failure);
}

static int check_pins(gnutls_x509_crt_t leaf, const struct profile *profile,
                      struct failure *ret_failure)
{
    if (profile->n_pins == 0) {
        return 0;
    }
    uint8_t sha256[PIN_BYTES];
    if (pin_of(leaf, sha256) < 0) {
        failure_set(ret_failure, REASON_internal, "its public key cannot be hashed");
        return -1;
    }
    for (size_t i = 0; i < profile->n_pins; i++) {
        if (memcmp(sha256, profile->pins[i], sizeof(sha256)) == 0) {
            return 0;
        }
    }
    char text[PIN_TEXT_MAX];
    failure_set(ret_failure, REASON_pin_mismatch, "its key has the pin %s",
                pin_format(sha256, text));
    return -1;
}

int verify_peer(gnutls_session_t session, const struct profile *profile, const struct name *host,
                struct failure *ret_failure)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    if (chain == NULL || n == 0 ||
        gnutls_certificate_type_get2(session, GNUTLS_CTYPE_SERVER) != GNUTLS_CRT_X509) {
        failure_set(ret_failure, REASON_cert_untrusted, "it sent no X.509 certificate");
        return -1;
    }
    AUTO(release_crt) gnutls_x509_crt_t leaf = NULL;
    if (der_import(&chain[0], &leaf) < 0) {
        failure_set(ret_failure, REASON_cert_untrusted, "its certificate cannot be read");
        return -1;
    }
    if (check_chain(session, chain, n, profile, ret_failure) < 0 ||
        check_leaf(leaf, ret_failure) < 0 || check_names(leaf, profile, host, ret_failure) < 0 ||
        check_pins(leaf, profile, ret_failure) < 0) {
        return -1;
    }
    return 0;
}
