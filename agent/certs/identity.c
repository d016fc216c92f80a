#include "certs/identity.h"

#include "base/cleanup.h"
#include "base/refs.h"
#include "certs/bundle.h"
#include "certs/handles.h"
#include "certs/key.h"
#include "certs/release.h"

#include <stdlib.h>
#include <string.h>

#define KEY_ID_BYTES 32 /* SHA-256 */

struct identity {
    struct refs refs;
    struct bundle bundle;
    struct handles_identity handles;
};

static void release(struct identity **identity)
{
    identity_unref(*identity);
}

static bool has_issued(gnutls_x509_crt_t issuer, gnutls_x509_crt_t crt)
{
    /* Only whether the signature fits: dates and strength are for the backend to judge. */
    const unsigned flags = GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                           GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS | GNUTLS_VERIFY_ALLOW_BROKEN |
                           GNUTLS_VERIFY_ALLOW_ANY_X509_V1_CA_CRT;
    unsigned status;
    return gnutls_x509_crt_check_issuer(crt, issuer) == 1 &&
           gnutls_x509_crt_verify(crt, &issuer, 1, flags, &status) >= 0 &&
           (status & GNUTLS_CERT_SIGNATURE_FAILURE) == 0;
}

/* RFC 5246 section 7.4.2: each certificate must directly certify the one before it. */
static void check_order(const struct bundle *bundle, const struct identity_source *source,
                        struct problems *problems)
{
    for (size_t i = 1; i < bundle->n; i++) {
        if (!has_issued(bundle->crts[i], bundle->crts[i - 1])) {
            problems_error(problems, source->cert_place,
                           "%s: certificate %zu (%s) does not follow, for it did not issue "
                           "certificate %zu (%s); put the leaf first, then each one's issuer",
                           source->cert, i + 1, bundle->facts[i].subject, i,
                           bundle->facts[i - 1].subject);
            return;
        }
    }
}

/* What a backend would hold against the leaf (RFC 5280 sections 4.2.1.3 and 4.2.1.12). */
static void check_leaf(const struct bundle *bundle, const struct identity_source *source,
                       struct problems *problems)
{
    gnutls_x509_crt_t leaf = bundle->crts[0];
    unsigned usage, critical;
    if (gnutls_x509_crt_get_key_usage(leaf, &usage, &critical) >= 0 &&
        (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) == 0) {
        problems_error(
            problems, source->cert_place,
            "%s: the certificate's key usage does not allow signing, which TLS needs; issue "
            "it with digitalSignature",
            source->cert);
    }
    if (gnutls_x509_crt_check_key_purpose(leaf, GNUTLS_KP_TLS_WWW_CLIENT, 0) == 0) {
        problems_warning(
            problems, source->cert_place,
            "%s: the certificate is not for TLS clients, and backends may refuse it; issue "
            "it with the extended key usage clientAuth",
            source->cert);
    }
}

/* Reads the chain. A root at its end is known to whoever trusts it, and is not sent. */
static int load_chain(struct identity *identity, const struct identity_source *source,
                      struct problems *problems)
{
    struct bundle *bundle = &identity->bundle;
    if (bundle_read(source->cert, "certificate chain", BUNDLE_SKIP_OTHERS, source->cert_place,
                    problems, bundle) < 0) {
        return -1;
    }
    check_order(bundle, source, problems);
    check_leaf(bundle, source, problems);
    gnutls_x509_crt_t last = bundle->crts[bundle->n - 1];
    if (bundle->n > 1 && gnutls_x509_crt_check_issuer(last, last) == 1) {
        bundle_truncate(bundle, bundle->n - 1);
    }
    bundle_warn_of_dates(bundle, source->cert, source->cert_place, problems);
    return 0;
}

static bool key_id_is(gnutls_x509_crt_t crt, const unsigned char id[static KEY_ID_BYTES])
{
    unsigned char own[KEY_ID_BYTES];
    size_t size = sizeof(own);
    return gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, own, &size) >= 0 &&
           memcmp(own, id, sizeof(own)) == 0;
}

static int key_id(gnutls_privkey_t key, unsigned char ret_id[static KEY_ID_BYTES])
{
    AUTO(release_pubkey) gnutls_pubkey_t public = NULL;
    size_t size = KEY_ID_BYTES;
    if (gnutls_pubkey_init(&public) < 0 || gnutls_pubkey_import_privkey(public, key, 0, 0) < 0 ||
        gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, ret_id, &size) < 0) {
        return -1;
    }
    return 0;
}

static void check_match(const struct identity *identity, const struct identity_source *source,
                        struct problems *problems)
{
    const struct bundle *bundle = &identity->bundle;
    unsigned char id[KEY_ID_BYTES];
    if (key_id(identity->handles.key, id) < 0) {
        problems_error(problems, source->key_place, "%s: out of memory", source->key);
        return;
    }
    if (key_id_is(bundle->crts[0], id)) {
        return;
    }
    for (size_t i = 1; i < bundle->n; i++) {
        if (key_id_is(bundle->crts[i], id)) {
            problems_error(problems, source->key_place,
                           "%s: the key belongs to certificate %zu of %s; put that one first",
                           source->key, i + 1, source->cert);
            return;
        }
    }
    problems_error(problems, source->key_place,
                   "%s: the key does not belong to the certificate in %s (%s); give the two that "
                   "were made together",
                   source->key, source->cert, bundle->facts[0].subject);
}

/* Turns the chain into what GnuTLS sends. */
static int make_handles(struct identity *identity)
{
    const struct bundle *bundle = &identity->bundle;
    struct handles_identity *handles = &identity->handles;
    handles->chain = calloc(bundle->n, sizeof(*handles->chain));
    handles->issuers = calloc(bundle->n, sizeof(*handles->issuers));
    if (handles->chain == NULL || handles->issuers == NULL) {
        return -1;
    }
    handles->n_chain = (unsigned)bundle->n;
    for (size_t i = 0; i < bundle->n; i++) {
        if (gnutls_pcert_import_x509(&handles->chain[i], bundle->crts[i], 0) < 0 ||
            gnutls_x509_crt_get_raw_issuer_dn(bundle->crts[i], &handles->issuers[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

struct identity *identity_load(const struct identity_source *source, struct problems *problems)
{
    size_t errors = problems_errors(problems);
    AUTO(release) struct identity *identity = calloc(1, sizeof(*identity));
    if (identity == NULL) {
        problems_error(problems, source->cert_place, "%s: out of memory", source->cert);
        return NULL;
    }
    refs_init(&identity->refs);

    int loaded = load_chain(identity, source, problems);
    identity->handles.key = key_read(source, problems);
    if (loaded == 0 && identity->handles.key != NULL) {
        check_match(identity, source, problems);
    }
    if (problems_errors(problems) > errors) {
        return NULL;
    }
    if (make_handles(identity) < 0) {
        problems_error(problems, source->cert_place, "%s: out of memory", source->cert);
        return NULL;
    }
    return cleanup_steal(identity);
}

struct identity *identity_ref(struct identity *identity)
{
    refs_take(&identity->refs);
    return identity;
}

struct identity *identity_unref(struct identity *identity)
{
    if (identity == NULL || !refs_drop(&identity->refs)) {
        return NULL;
    }
    struct handles_identity *handles = &identity->handles;
    for (unsigned i = 0; i < handles->n_chain; i++) {
        gnutls_pcert_deinit(&handles->chain[i]);
        gnutls_free(handles->issuers[i].data);
    }
    free(handles->chain);
    free(handles->issuers);
    gnutls_privkey_deinit(handles->key);
    bundle_release(&identity->bundle);
    free(identity);
    return NULL;
}

const struct inspect_facts *identity_facts(const struct identity *identity, size_t *ret_n)
{
    *ret_n = identity->bundle.n;
    return identity->bundle.facts;
}

const struct handles_identity *handles_of_identity(const struct identity *identity)
{
    return &identity->handles;
}

/* True when the backend accepts an issuer of our chain, or says nothing about issuers. */
static bool accepts_issuer(const struct gnutls_cert_retr_st *request,
                           const struct handles_identity *ours)
{
    for (unsigned i = 0; i < request->nreqs; i++) {
        const gnutls_datum_t *accepted = &request->req_ca_rdn[i];
        for (unsigned j = 0; j < ours->n_chain; j++) {
            if (accepted->size == ours->issuers[j].size &&
                memcmp(accepted->data, ours->issuers[j].data, accepted->size) == 0) {
                return true;
            }
        }
    }
    return request->nreqs == 0;
}

int handles_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *request,
                     gnutls_pcert_st **ret_chain, unsigned *ret_n_chain,
                     gnutls_ocsp_data_st **ret_staples, unsigned *ret_n_staples,
                     gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
    static const struct handles_identity nothing;
    struct handles_session *context = gnutls_session_get_ptr(session);
    const struct handles_identity *ours =
        context->identity != NULL ? &context->identity->handles : &nothing;
    context->asked = true;
    context->issuer_matched = accepts_issuer(request, ours);
    *ret_chain = ours->chain;
    *ret_n_chain = ours->n_chain;
    *ret_key = ours->key;
    *ret_staples = NULL;
    *ret_n_staples = 0;
    *ret_flags = 0;
    return 0;
}
