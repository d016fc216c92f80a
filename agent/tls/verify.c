#include "tls/verify.h"

#include "base/cleanup.h"
#include "certs/handles.h"
#include "certs/release.h"
#include "tls/profile_fields.h"
#include "tls/san.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#define TEXT_MAX 160 /* bytes of one name in a message */
#define CAS_TOLD 3   /* CAs listed in a message */

/* More than any clock drifts, less than any that starts at 1970 or lost its battery is off. */
#define CLOCK_SUSPECT_DAYS 365

/* What may be wrong with the OCSP answer that the backend staples. */
#define STAPLE_FAULTS                                                                              \
    (GNUTLS_CERT_MISSING_OCSP_STATUS | GNUTLS_CERT_INVALID_OCSP_STATUS |                           \
     GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE)

static int import(const gnutls_datum_t *der, gnutls_x509_crt_t *ret_crt)
{
    if (gnutls_x509_crt_init(ret_crt) < 0) {
        *ret_crt = NULL;
        return -1;
    }
    return gnutls_x509_crt_import(*ret_crt, der, GNUTLS_X509_FMT_DER) < 0 ? -1 : 0;
}

/* Writes the issuer that the last certificate of the chain names: the one that is missing from our
 * CAs, if the chain is otherwise whole. */
static void tell_issuer(const gnutls_datum_t *chain, unsigned n, char text[static TEXT_MAX])
{
    AUTO(release_crt) gnutls_x509_crt_t last = NULL;
    AUTO(release_datum) gnutls_datum_t dn = {0};
    snprintf(text, TEXT_MAX, "an unreadable name");
    if (import(&chain[n - 1], &last) == 0 && gnutls_x509_crt_get_issuer_dn3(last, &dn, 0) == 0) {
        snprintf(text, TEXT_MAX, "%s", dn.size > 0 ? (const char *)dn.data : "an empty name");
    }
}

static void tell_cas(const struct trust *trust, char *text, size_t size)
{
    size_t n;
    const struct inspect_facts *cas = trust_facts(trust, &n);
    if (n == 0) {
        snprintf(text, size, "the system's CAs");
        return;
    }
    size_t len = 0;
    for (size_t i = 0; i < n && i < CAS_TOLD && len < size; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s", i > 0 ? " / " : "", cas[i].subject);
    }
    if (n > CAS_TOLD && len < size) {
        snprintf(text + len, size - len, " and %zu more", n - CAS_TOLD);
    }
}

static bool has_ca_named(const struct trust *trust, const char *subject)
{
    size_t n;
    const struct inspect_facts *cas = trust_facts(trust, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(cas[i].subject, subject) == 0) {
            return true;
        }
    }
    return false;
}

/* Says it in GnuTLS's words, without the full stop and the blank behind them. */
static void refuse_in_words(unsigned status, struct failure *ret_failure)
{
    AUTO(release_datum) gnutls_datum_t text = {0};
    gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
    const char *words = text.data != NULL ? (const char *)text.data : "the chain is not valid";
    int len = (int)strlen(words);
    while (len > 0 && strchr(". ", words[len - 1]) != NULL) {
        len--;
    }
    failure_set(ret_failure, REASON_cert_untrusted, "%.*s", len, words);
}

static int refuse_untrusted(const gnutls_datum_t *chain, unsigned n, unsigned status,
                            const struct profile *profile, struct failure *ret_failure)
{
    char issuer[TEXT_MAX], cas[TEXT_MAX * 2];
    tell_issuer(chain, n, issuer);
    /* A CA of the same name is found or not by its key identifier, and its signature does not fit.
     */
    bool has_namesake = has_ca_named(profile->trust, issuer);
    bool is_unfit = (status & GNUTLS_CERT_SIGNATURE_FAILURE) != 0 && has_namesake;
    if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) == 0 && !is_unfit) {
        refuse_in_words(status, ret_failure);
        return -1;
    }
    tell_cas(profile->trust, cas, sizeof(cas));
    failure_set(ret_failure, REASON_cert_untrusted,
                "its chain of %u ends at one issued by %s; we trust %s%s", n, issuer, cas,
                has_namesake ? ", of the same name, but its key did not sign that" : "");
    return -1;
}

static void tell_time(time_t when, char *text, size_t size)
{
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL || strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, size, "a date out of range");
    }
}

/* Finds the certificate of the chain, or else of our CAs, whose date it is. */
static bool find_date(const gnutls_datum_t *chain, unsigned n, const struct trust *trust,
                      bool want_end, time_t now, time_t *ret_date)
{
    for (unsigned i = 0; i < n; i++) {
        AUTO(release_crt) gnutls_x509_crt_t crt = NULL;
        if (import(&chain[i], &crt) < 0) {
            continue;
        }
        time_t end = gnutls_x509_crt_get_expiration_time(crt);
        time_t start = gnutls_x509_crt_get_activation_time(crt);
        if (want_end ? end < now : start > now) {
            *ret_date = want_end ? end : start;
            return true;
        }
    }
    size_t n_cas;
    const struct inspect_facts *cas = trust_facts(trust, &n_cas);
    for (size_t i = 0; i < n_cas; i++) {
        if (want_end ? cas[i].not_after < now : cas[i].not_before > now) {
            *ret_date = want_end ? cas[i].not_after : cas[i].not_before;
            return true;
        }
    }
    return false;
}

static int refuse_dates(const gnutls_datum_t *chain, unsigned n, bool expired,
                        const struct profile *profile, struct failure *ret_failure)
{
    time_t now = time(NULL), date = now;
    char date_text[32], now_text[32];
    find_date(chain, n, profile->trust, expired, now, &date);
    tell_time(date, date_text, sizeof(date_text));
    tell_time(now, now_text, sizeof(now_text));
    long days = (long)((expired ? now - date : date - now) / (24 * 60 * 60));

    failure_set(ret_failure, expired ? REASON_cert_expired : REASON_cert_not_yet_valid,
                "%s %s, %ld days %s; this host's clock says %s%s",
                expired ? "valid until" : "valid from", date_text, days, expired ? "ago" : "ahead",
                now_text, !expired && days > CLOCK_SUSPECT_DAYS ? ": is the clock wrong?" : "");
    return -1;
}

/* Turns GnuTLS's status bits into one reason: the most telling first. */
static int refuse_status(const gnutls_datum_t *chain, unsigned n, unsigned status,
                         const struct profile *profile, struct failure *ret_failure)
{
    if ((status & GNUTLS_CERT_REVOKED) != 0) {
        failure_set(ret_failure, REASON_cert_revoked, "a certificate of the chain is revoked");
        return -1;
    }
    if ((status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA |
                   GNUTLS_CERT_SIGNATURE_FAILURE)) != 0) {
        return refuse_untrusted(chain, n, status, profile, ret_failure);
    }
    if ((status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)) != 0) {
        return refuse_dates(chain, n, (status & GNUTLS_CERT_EXPIRED) != 0, profile, ret_failure);
    }
    if ((status & GNUTLS_CERT_INSECURE_ALGORITHM) != 0) {
        failure_set(ret_failure, REASON_cert_weak,
                    "a key or a signature of the chain is weaker than the medium profile, or than "
                    "what `priority` asks for");
        return -1;
    }
    if ((status & GNUTLS_CERT_PURPOSE_MISMATCH) != 0) {
        failure_set(ret_failure, REASON_cert_purpose,
                    "a certificate of the chain is not for TLS servers (extended key usage)");
        return -1;
    }
    if ((status & STAPLE_FAULTS) != 0) {
        failure_set(ret_failure, REASON_cert_status_missing,
                    (status & GNUTLS_CERT_MISSING_OCSP_STATUS) != 0
                        ? "the certificate demands a stapled OCSP answer, and there is none"
                        : "the stapled OCSP answer is not valid, or out of date");
        return -1;
    }
    return refuse_untrusted(chain, n, status, profile, ret_failure);
}

static int check_chain(gnutls_session_t session, const gnutls_datum_t *chain, unsigned n,
                       const struct profile *profile, struct failure *ret_failure)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_SERVER,
    };
    unsigned status = GNUTLS_CERT_INVALID;
    int rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    if (rc < 0) {
        failure_set(ret_failure,
                    rc == GNUTLS_E_MEMORY_ERROR ? REASON_internal : REASON_cert_untrusted,
                    "its chain of %u cannot be verified: %s", n, gnutls_strerror(rc));
        return -1;
    }
    return status == 0 ? 0 : refuse_status(chain, n, status, profile, ret_failure);
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

static int hash_key(gnutls_x509_crt_t leaf, uint8_t ret_sha256[static PROFILE_PIN_BYTES])
{
    AUTO(release_pubkey) gnutls_pubkey_t key = NULL;
    AUTO(release_datum) gnutls_datum_t der = {0};
    if (gnutls_pubkey_init(&key) < 0) {
        key = NULL;
        return -1;
    }
    if (gnutls_pubkey_import_x509(key, leaf, 0) < 0 ||
        gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) < 0) {
        return -1;
    }
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, ret_sha256) < 0 ? -1 : 0;
}

static int check_pins(gnutls_x509_crt_t leaf, const struct profile *profile,
                      struct failure *ret_failure)
{
    if (profile->n_pins == 0) {
        return 0;
    }
    uint8_t sha256[PROFILE_PIN_BYTES];
    if (hash_key(leaf, sha256) < 0) {
        failure_set(ret_failure, REASON_internal, "its public key cannot be hashed");
        return -1;
    }
    for (size_t i = 0; i < profile->n_pins; i++) {
        if (memcmp(sha256, profile->pins[i], sizeof(sha256)) == 0) {
            return 0;
        }
    }
    gnutls_datum_t raw = {sha256, sizeof(sha256)};
    AUTO(release_datum) gnutls_datum_t base64 = {0};
    gnutls_base64_encode2(&raw, &base64);
    failure_set(ret_failure, REASON_pin_mismatch, "its key has the pin sha256:%.*s",
                (int)base64.size, base64.data != NULL ? (const char *)base64.data : "");
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
    if (import(&chain[0], &leaf) < 0) {
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
