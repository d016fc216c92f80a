#include "certs/crl.h"

#include "base/cleanup.h"
#include "certs/crl_der.h"
#include "certs/handles.h"
#include "certs/release.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_ID_BYTES 32
#define OID_MAX      128
#define SKEW_S       300 /* of the clocks of CAs and of ours */

struct key_id {
    uint8_t sha256[KEY_ID_BYTES];
};

struct crl {
    uint8_t *der;
    size_t len;
    struct crl_der parts;
    gnutls_datum_t issuer_dn; /* raw */
    char *issuer;
    time_t this_update, next_update;
    gnutls_sign_algorithm_t algorithm;
    /* The key that was found to have signed it: a large list is not hashed at every handshake. */
    _Atomic(struct key_id *) signer;
};

static void release_crl(gnutls_x509_crl_t *crl)
{
    if (*crl != NULL) {
        gnutls_x509_crl_deinit(*crl);
    }
}

static void release(struct crl **crl)
{
    crl_free(*crl);
}

static int say(char *why, const char *text)
{
    snprintf(why, CRL_WHY_MAX, "%s", text);
    return -1;
}

/* Extensions whose meaning does not change what the list says, or is looked at. */
static bool is_understood(const char *oid)
{
    static const char *const known[] = {
        "2.5.29.18", /* issuerAltName */
        "2.5.29.20", /* cRLNumber */
        "2.5.29.35", /* authorityKeyIdentifier */
        "2.5.29.46", /* freshestCRL */
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i], oid) == 0) {
            return true;
        }
    }
    return false;
}

static int check_extension(const char *oid, bool is_critical, char *why)
{
    if (strcmp(oid, "2.5.29.27") == 0) {
        return say(why, "is a delta CRL, which lists only what is new; give the complete one");
    }
    if (strcmp(oid, "2.5.29.28") == 0) {
        return say(why, "covers only a part of what its CA issued, or other CAs as well "
                        "(issuingDistributionPoint); give a complete one");
    }
    if (is_critical && !is_understood(oid)) {
        snprintf(why, CRL_WHY_MAX, "has a critical extension that is not understood (%s)", oid);
        return -1;
    }
    return 0;
}

static int check_extensions(gnutls_x509_crl_t head, char *why)
{
    for (unsigned i = 0;; i++) {
        char oid[OID_MAX];
        size_t size = sizeof(oid);
        unsigned critical = 0;
        int rc = gnutls_x509_crl_get_extension_info(head, i, oid, &size, &critical);
        if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            return 0;
        }
        if (rc < 0) {
            return say(why, "has an extension that cannot be read");
        }
        if (check_extension(oid, critical != 0, why) < 0) {
            return -1;
        }
    }
}

static int read_dates(struct crl *crl, gnutls_x509_crl_t head, char *why)
{
    crl->this_update = gnutls_x509_crl_get_this_update(head);
    crl->next_update = gnutls_x509_crl_get_next_update(head);
    if (crl->this_update == (time_t)-1) {
        return say(why, "has no readable date (thisUpdate)");
    }
    if (crl->next_update == (time_t)-1) {
        return say(why, "does not say when the next one comes (nextUpdate), so that nobody could "
                        "tell whether it is current; have its CA set that");
    }
    return 0;
}

static int read_algorithm(struct crl *crl, gnutls_x509_crl_t head, char *why)
{
    int algorithm = gnutls_x509_crl_get_signature_algorithm(head);
    crl->algorithm = algorithm > 0 ? (gnutls_sign_algorithm_t)algorithm : GNUTLS_SIGN_UNKNOWN;
    if (gnutls_sign_is_secure2(crl->algorithm, GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS) == 0) {
        const char *name = gnutls_sign_get_name(crl->algorithm);
        snprintf(why, CRL_WHY_MAX,
                 "is signed by %s, which is not strong enough; have its CA use "
                 "SHA-256",
                 name != NULL ? name : "an unknown algorithm");
        return -1;
    }
    return 0;
}

static int read_issuer(struct crl *crl, gnutls_x509_crl_t head, char *why)
{
    AUTO(release_datum) gnutls_datum_t text = {0};
    if (gnutls_x509_crl_get_raw_issuer_dn(head, &crl->issuer_dn) < 0 ||
        gnutls_x509_rdn_get2(&crl->issuer_dn, &text, 0) < 0) {
        return say(why, "has an issuer that cannot be read");
    }
    crl->issuer = strdup(text.data != NULL ? (const char *)text.data : "");
    return crl->issuer != NULL ? 0 : say(why, "does not fit into memory");
}

static int read_head(struct crl *crl, char *why)
{
    AUTO(release_crl) gnutls_x509_crl_t head = NULL;
    int rc = gnutls_x509_crl_init(&head);
    if (rc >= 0) {
        rc = gnutls_x509_crl_import(head, &crl->parts.head, GNUTLS_X509_FMT_DER);
    }
    if (rc < 0) {
        snprintf(why, CRL_WHY_MAX, "is damaged (%s); fetch it anew", gnutls_strerror(rc));
        return -1;
    }
    return check_extensions(head, why) < 0 || read_issuer(crl, head, why) < 0 ||
                   read_dates(crl, head, why) < 0 || read_algorithm(crl, head, why) < 0
               ? -1
               : 0;
}

struct crl *crl_parse(uint8_t *der, size_t len, char why[static CRL_WHY_MAX])
{
    AUTO(release) struct crl *crl = calloc(1, sizeof(*crl));
    if (crl == NULL) {
        free(der);
        say(why, "does not fit into memory");
        return NULL;
    }
    crl->der = der;
    crl->len = len;
    const char *fault = crl_der_split(der, len, &crl->parts);
    if (fault != NULL) {
        say(why, fault);
        return NULL;
    }
    return read_head(crl, why) < 0 ? NULL : cleanup_steal(crl);
}

struct crl *crl_free(struct crl *crl)
{
    if (crl != NULL) {
        free(atomic_load_explicit(&crl->signer, memory_order_acquire));
        gnutls_free(crl->issuer_dn.data);
        free(crl->issuer);
        crl_der_release(&crl->parts);
        free(crl->der);
        free(crl);
    }
    return NULL;
}

const char *crl_issuer(const struct crl *crl)
{
    return crl->issuer;
}

time_t crl_this_update(const struct crl *crl)
{
    return crl->this_update;
}

time_t crl_next_update(const struct crl *crl)
{
    return crl->next_update;
}

bool crl_is_stale(const struct crl *crl, time_t now)
{
    return crl->next_update < now;
}

bool crl_is_early(const struct crl *crl, time_t now)
{
    return crl->this_update > now + SKEW_S;
}

size_t crl_length(const struct crl *crl)
{
    return crl->parts.n;
}

bool crl_equal(const struct crl *a, const struct crl *b)
{
    return a->len == b->len && memcmp(a->der, b->der, a->len) == 0;
}

/* The number that two digits make; -1 when they are none. */
static int two_digits(const uint8_t *at)
{
    return at[0] >= '0' && at[0] <= '9' && at[1] >= '0' && at[1] <= '9'
               ? (at[0] - '0') * 10 + at[1] - '0'
               : -1;
}

/* Reads a UTCTime or a GeneralizedTime of whole seconds (RFC 5280 section 4.1.2.5); -1: none. */
static time_t read_time(const uint8_t *value)
{
    int fields[7] = {0, 0, 0, 0, 0, 0, 0}; /* century, year, month, day, hour, minute, second */
    bool is_long = value[0] == 0x18;
    if (value[1] != (is_long ? 15 : 13)) {
        return -1;
    }
    for (int i = is_long ? 0 : 1, at = 2; i < 7; i++, at += 2) {
        fields[i] = two_digits(value + at);
        if (fields[i] < 0) {
            return -1;
        }
    }
    if (!is_long) {
        fields[0] = fields[1] < 50 ? 20 : 19;
    }
    struct tm date = {
        .tm_year = fields[0] * 100 + fields[1] - 1900,
        .tm_mon = fields[2] - 1,
        .tm_mday = fields[3],
        .tm_hour = fields[4],
        .tm_min = fields[5],
        .tm_sec = fields[6],
    };
    return timegm(&date);
}

bool crl_lists(const struct crl *crl, const uint8_t *serial, size_t len, time_t *ret_when)
{
    struct crl_entry wanted = crl_entry_of(serial, len);
    const struct crl_entry *found =
        crl->parts.n == 0
            ? NULL
            : bsearch(&wanted, crl->parts.entries, crl->parts.n, sizeof(wanted), crl_entry_compare);
    if (found == NULL) {
        return false;
    }
    *ret_when = read_time(found->serial + found->len);
    return true;
}

bool handles_crl_names(const struct crl *crl, gnutls_x509_crt_t issuer)
{
    AUTO(release_datum) gnutls_datum_t dn = {0};
    return gnutls_x509_crt_get_raw_dn(issuer, &dn) >= 0 && dn.size == crl->issuer_dn.size &&
           memcmp(dn.data, crl->issuer_dn.data, dn.size) == 0;
}

/* Tells the key how RSA-PSS was used: it does not say so itself. */
static int set_pss(const struct crl *crl, gnutls_pubkey_t key)
{
    gnutls_x509_spki_t spki;
    if (gnutls_sign_get_pk_algorithm(crl->algorithm) != GNUTLS_PK_RSA_PSS) {
        return 0;
    }
    if (gnutls_x509_spki_init(&spki) < 0) {
        return -1;
    }
    gnutls_x509_spki_set_rsa_pss_params(spki, gnutls_sign_get_hash_algorithm(crl->algorithm),
                                        crl->parts.salt);
    int rc = gnutls_pubkey_set_spki(key, spki, 0);
    gnutls_x509_spki_deinit(spki);
    return rc;
}

static bool is_signed_with_key_of(const struct crl *crl, gnutls_x509_crt_t issuer)
{
    AUTO(release_pubkey) gnutls_pubkey_t key = NULL;
    return gnutls_pubkey_init(&key) >= 0 && gnutls_pubkey_import_x509(key, issuer, 0) >= 0 &&
           set_pss(crl, key) >= 0 &&
           gnutls_pubkey_verify_data2(key, crl->algorithm, 0, &crl->parts.tbs,
                                      &crl->parts.signature) >= 0;
}

/* Keeps the key, unless there is one. */
static void remember(struct crl *crl, const struct key_id *id)
{
    struct key_id *none = NULL, *kept = malloc(sizeof(*kept));
    if (kept != NULL) {
        *kept = *id;
        if (!atomic_compare_exchange_strong(&crl->signer, &none, kept)) {
            free(kept);
        }
    }
}

bool handles_crl_verify(struct crl *crl, gnutls_x509_crt_t issuer)
{
    struct key_id id;
    size_t size = sizeof(id.sha256);
    if (gnutls_x509_crt_get_key_id(issuer, GNUTLS_KEYID_USE_SHA256, id.sha256, &size) < 0) {
        return false;
    }
    const struct key_id *known = atomic_load_explicit(&crl->signer, memory_order_acquire);
    if (known != NULL && memcmp(known, &id, sizeof(id)) == 0) {
        return true;
    }
    if (!is_signed_with_key_of(crl, issuer)) {
        return false;
    }
    remember(crl, &id);
    return true;
}
