#include "tls/refusal.h"

#include "base/cleanup.h"
#include "base/span.h"
#include "certs/der.h"
#include "certs/release.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <gnutls/x509.h>

#define TEXT_MAX 160 /* bytes of one name in a message */
#define CAS_TOLD 3   /* CAs listed in a message */
#define OIDS_MAX 4   /* purposes listed in a message */

/* What may be wrong with who issued the chain, and with its dates. */
#define ISSUER_FAULTS                                                                              \
    (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_SIGNATURE_FAILURE)
#define DATE_FAULTS (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED)

/* What may be wrong with the OCSP answer that the backend staples. */
#define STAPLE_FAULTS                                                                              \
    (GNUTLS_CERT_MISSING_OCSP_STATUS | GNUTLS_CERT_INVALID_OCSP_STATUS |                           \
     GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE)

/* The chain under examination. */
struct accused {
    const gnutls_datum_t *chain;
    unsigned n;
    const struct trust *trust;
};

/* Writes the name that `get` reads from a certificate. */
static void tell_name(gnutls_x509_crt_t crt,
                      int (*get)(gnutls_x509_crt_t, gnutls_datum_t *, unsigned),
                      char text[static TEXT_MAX])
{
    AUTO(release_datum) gnutls_datum_t dn = {0};
    if (get(crt, &dn, 0) < 0) {
        snprintf(text, TEXT_MAX, "an unreadable name");
    } else {
        snprintf(text, TEXT_MAX, "%s", dn.size > 0 ? (const char *)dn.data : "an empty name");
    }
}

/* Finds the certificate of the chain that issued this one, by its name. Returns -1 when there is
 * none. */
static int find_issuer(const struct accused *accused, gnutls_x509_crt_t crt,
                       gnutls_x509_crt_t *ret_issuer)
{
    for (unsigned i = 0; i < accused->n; i++) {
        AUTO(release_crt) gnutls_x509_crt_t other = NULL;
        if (der_import(&accused->chain[i], &other) == 0 &&
            gnutls_x509_crt_check_issuer(crt, other) == 1) {
            *ret_issuer = cleanup_steal(other);
            return 0;
        }
    }
    return -1;
}

/* Writes the issuer that is named where the chain, followed up from the leaf, breaks off: the one
 * that is missing from our CAs, if the chain is otherwise whole. What else was sent does not count.
 */
static void tell_issuer(const struct accused *accused, char text[static TEXT_MAX])
{
    AUTO(release_crt) gnutls_x509_crt_t top = NULL;
    snprintf(text, TEXT_MAX, "an unreadable name");
    if (der_import(&accused->chain[0], &top) < 0) {
        return;
    }
    for (unsigned steps = 1; steps < accused->n; steps++) {
        gnutls_x509_crt_t issuer;
        if (gnutls_x509_crt_check_issuer(top, top) == 1 || find_issuer(accused, top, &issuer) < 0) {
            break;
        }
        gnutls_x509_crt_deinit(top);
        top = issuer;
    }
    tell_name(top, gnutls_x509_crt_get_issuer_dn3, text);
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

/* What else may be wrong with a chain, in our words or, as a last resort, in GnuTLS's without the
 * full stop and the blank behind them. */
static void explain_in_words(unsigned status, struct failure *ret_failure)
{
    static const struct {
        unsigned status;
        const char *words;
    } known[] = {
        {GNUTLS_CERT_SIGNER_NOT_CA, "a certificate of its chain was issued by one that is no CA"},
        {GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE,
         "its chain breaks a constraint of one of its CAs, on names or on its length"},
        {GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS,
         "a certificate of its chain has a critical extension that is not understood"},
        {GNUTLS_CERT_SIGNATURE_FAILURE, "a signature in its chain is wrong"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if ((status & known[i].status) != 0) {
            failure_set(ret_failure, REASON_cert_untrusted, "%s", known[i].words);
            return;
        }
    }
    AUTO(release_datum) gnutls_datum_t text = {0};
    gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
    const char *words = text.data != NULL ? (const char *)text.data : "the chain is not valid";
    int len = (int)strlen(words);
    while (len > 0 && strchr(". ", words[len - 1]) != NULL) {
        len--;
    }
    failure_set(ret_failure, REASON_cert_untrusted, "%.*s", len, words);
}

static void explain_issuer(const struct accused *accused, unsigned status,
                           struct failure *ret_failure)
{
    char issuer[TEXT_MAX], cas[TEXT_MAX * 2];
    tell_issuer(accused, issuer);
    /* A CA of the same name is found or not by its key identifier, and its signature does not fit.
     */
    bool has_namesake = has_ca_named(accused->trust, issuer);
    bool is_unfit = (status & GNUTLS_CERT_SIGNATURE_FAILURE) != 0 && has_namesake;
    if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) == 0 && !is_unfit) {
        explain_in_words(status, ret_failure);
        return;
    }
    tell_cas(accused->trust, cas, sizeof(cas));
    failure_set(ret_failure, REASON_cert_untrusted,
                "its chain of %u ends at one issued by %s; we trust %s%s", accused->n, issuer, cas,
                has_namesake ? ", of the same name, but its key did not sign that" : "");
}

/* A certificate that is out of date, and whose it is. */
struct overdue {
    char name[TEXT_MAX];
    time_t date;
};

static bool is_overdue(time_t start, time_t end, bool want_end, time_t now)
{
    return want_end ? end < now : start > now;
}

/* Finds the CA whose date it is: of those that are overdue the one that the chain leads to. */
static void find_overdue_ca(const struct accused *accused, bool want_end, time_t now,
                            struct overdue *ret_overdue)
{
    char issuer[TEXT_MAX];
    size_t n;
    const struct inspect_facts *cas = trust_facts(accused->trust, &n), *found = NULL;
    tell_issuer(accused, issuer);
    for (size_t i = 0; i < n; i++) {
        bool is_issuer = strcmp(cas[i].subject, issuer) == 0;
        if (is_overdue(cas[i].not_before, cas[i].not_after, want_end, now) &&
            (found == NULL || is_issuer)) {
            found = &cas[i];
        }
    }
    if (found != NULL) {
        snprintf(ret_overdue->name, TEXT_MAX, "our CA %s", found->subject);
        ret_overdue->date = want_end ? found->not_after : found->not_before;
    }
}

/* Finds the certificate of the chain, or else of our CAs, whose date it is. */
static void find_overdue(const struct accused *accused, bool want_end, time_t now,
                         struct overdue *ret_overdue)
{
    for (unsigned i = 0; i < accused->n; i++) {
        AUTO(release_crt) gnutls_x509_crt_t crt = NULL;
        if (der_import(&accused->chain[i], &crt) < 0) {
            continue;
        }
        time_t start = gnutls_x509_crt_get_activation_time(crt);
        time_t end = gnutls_x509_crt_get_expiration_time(crt);
        if (is_overdue(start, end, want_end, now)) {
            tell_name(crt, gnutls_x509_crt_get_dn3, ret_overdue->name);
            ret_overdue->date = want_end ? end : start;
            return;
        }
    }
    find_overdue_ca(accused, want_end, now, ret_overdue);
}

static void explain_dates(const struct accused *accused, bool expired, struct failure *ret_failure)
{
    time_t now = time(NULL);
    char date[SPAN_TEXT_MAX], clock[SPAN_TEXT_MAX], span[SPAN_TEXT_MAX];
    struct overdue overdue = {.name = "a certificate of its chain", .date = now};
    find_overdue(accused, expired, now, &overdue);
    time_t by = expired ? now - overdue.date : overdue.date - now;
    bool is_clock = !expired && span_suggests_clock(by);

    failure_set(ret_failure, expired ? REASON_cert_expired : REASON_cert_not_yet_valid,
                "%s is valid %s %s, %s %s; this host's clock says %s%s", overdue.name,
                expired ? "until" : "from", span_format_date(overdue.date, date),
                span_format(by, span), expired ? "ago" : "ahead", span_format_date(now, clock),
                is_clock ? ": is the clock wrong?" : "");
}

/* Writes what is weak about a certificate; false when nothing is. */
static bool tell_weakness(gnutls_x509_crt_t crt, char text[static TEXT_MAX])
{
    unsigned bits = 0;
    int key = gnutls_x509_crt_get_pk_algorithm(crt, &bits);
    int signature = gnutls_x509_crt_get_signature_algorithm(crt);
    if (key >= 0 &&
        gnutls_pk_bits_to_sec_param((gnutls_pk_algorithm_t)key, bits) < GNUTLS_SEC_PARAM_MEDIUM) {
        const char *name = gnutls_pk_get_name((gnutls_pk_algorithm_t)key);
        snprintf(text, TEXT_MAX, "has a key of %u bits (%s)", bits, name != NULL ? name : "?");
        return true;
    }
    if (signature >= 0 && gnutls_sign_is_secure2((gnutls_sign_algorithm_t)signature,
                                                 GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS) == 0) {
        const char *name = gnutls_sign_get_name((gnutls_sign_algorithm_t)signature);
        snprintf(text, TEXT_MAX, "is signed by %s", name != NULL ? name : "an unknown algorithm");
        return true;
    }
    return false;
}

/* "clientAuth", or the OID of a purpose that has no common name. */
static const char *purpose_name(const char *oid)
{
    static const struct {
        const char *oid, *name;
    } known[] = {
        {GNUTLS_KP_TLS_WWW_CLIENT, "clientAuth"},        {GNUTLS_KP_CODE_SIGNING, "codeSigning"},
        {GNUTLS_KP_EMAIL_PROTECTION, "emailProtection"}, {GNUTLS_KP_TIME_STAMPING, "timeStamping"},
        {GNUTLS_KP_OCSP_SIGNING, "OCSPSigning"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].oid, oid) == 0) {
            return known[i].name;
        }
    }
    return oid;
}

/* Writes what a certificate is for, when that is not serving TLS. */
static bool tell_purpose(gnutls_x509_crt_t crt, char text[static TEXT_MAX])
{
    if (gnutls_x509_crt_check_key_purpose(crt, GNUTLS_KP_TLS_WWW_SERVER, 0) != 0) {
        return false;
    }
    size_t len = (size_t)snprintf(text, TEXT_MAX, "is for");
    for (unsigned i = 0; i < OIDS_MAX && len < TEXT_MAX; i++) {
        char oid[128];
        size_t size = sizeof(oid);
        if (gnutls_x509_crt_get_key_purpose_oid(crt, i, oid, &size, NULL) < 0) {
            break;
        }
        len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s %s", i > 0 ? "," : "",
                                purpose_name(oid));
    }
    if (len < TEXT_MAX) {
        snprintf(text + len, TEXT_MAX - len, ", not for serverAuth (extended key usage)");
    }
    return true;
}

/* Explains by the first certificate of the chain about which `tell` has something to say. */
static void explain_by(const struct accused *accused, enum reason reason,
                       bool (*tell)(gnutls_x509_crt_t, char *), const char *otherwise,
                       struct failure *ret_failure)
{
    for (unsigned i = 0; i < accused->n; i++) {
        AUTO(release_crt) gnutls_x509_crt_t crt = NULL;
        char name[TEXT_MAX], text[TEXT_MAX];
        if (der_import(&accused->chain[i], &crt) == 0 && tell(crt, text)) {
            tell_name(crt, gnutls_x509_crt_get_dn3, name);
            failure_set(ret_failure, reason, "certificate %u of its chain (%s) %s", i + 1, name,
                        text);
            return;
        }
    }
    failure_set(ret_failure, reason, "%s", otherwise);
}

void refusal_explain(const gnutls_datum_t *chain, unsigned n, unsigned status,
                     const struct trust *trust, struct failure *ret_failure)
{
    const struct accused accused = {chain, n, trust};
    bool is_foreign = (status & ISSUER_FAULTS) != 0;
    if ((status & GNUTLS_CERT_REVOKED) != 0) {
        failure_set(ret_failure, REASON_cert_revoked, "a certificate of the chain is revoked");
    } else if (!is_foreign && (status & DATE_FAULTS) != 0) {
        explain_dates(&accused, (status & GNUTLS_CERT_EXPIRED) != 0, ret_failure);
    } else if (!is_foreign && (status & GNUTLS_CERT_INSECURE_ALGORITHM) != 0) {
        explain_by(&accused, REASON_cert_weak, tell_weakness,
                   "a key or a signature of the chain is weaker than what `priority` asks for",
                   ret_failure);
    } else if (!is_foreign && (status & GNUTLS_CERT_PURPOSE_MISMATCH) != 0) {
        explain_by(&accused, REASON_cert_purpose, tell_purpose,
                   "a certificate of the chain is not for TLS servers (extended key usage)",
                   ret_failure);
    } else if (!is_foreign && (status & STAPLE_FAULTS) != 0) {
        failure_set(ret_failure, REASON_cert_status_missing,
                    (status & GNUTLS_CERT_MISSING_OCSP_STATUS) != 0
                        ? "the certificate demands a stapled OCSP answer, and there is none"
                        : "the stapled OCSP answer is not valid, or out of date");
    } else {
        explain_issuer(&accused, status, ret_failure);
    }
}
