#include "certs/identity.h"

#include "base/cleanup.h"
#include "base/refs.h"
#include "certs/bundle.h"
#include "certs/handles.h"
#include "certs/key.h"
#include "certs/pkcs12.h"

#include <stdlib.h>
#include <string.h>

struct identity {
    struct refs refs;
    struct bundle bundle;
    struct handles_identity handles;
};

static void release(struct identity **identity)
{
    identity_unref(*identity);
}

/* RFC 5246 section 7.4.2: each certificate must directly certify the one before it. */
static void check_order(const struct bundle *bundle, const struct identity_source *source,
                        struct problems *problems)
{
    for (size_t i = 1; i < bundle->n; i++) {
        if (!bundle_has_issued(bundle->crts[i], bundle->crts[i - 1])) {
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
    if (!bundle->facts[0].is_for_clients) {
        problems_warning(
            problems, source->cert_place,
            "%s: the certificate is not for TLS clients, and backends may refuse it; issue "
            "it with the extended key usage clientAuth",
            source->cert);
    }
}

/* Checks the chain. A root at its end is known to whoever trusts it, and is not sent. */
static void check_chain(struct identity *identity, const struct identity_source *source,
                        struct problems *problems)
{
    struct bundle *bundle = &identity->bundle;
    check_order(bundle, source, problems);
    check_leaf(bundle, source, problems);
    if (bundle->n > 1 && bundle_is_root(bundle->crts[bundle->n - 1])) {
        bundle_truncate(bundle, bundle->n - 1);
    }
    bundle_warn_of_dates(bundle, source->cert, source->cert_place, problems);
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
    if (key_is_of(bundle->crts[0], id)) {
        return;
    }
    for (size_t i = 1; i < bundle->n; i++) {
        if (key_is_of(bundle->crts[i], id)) {
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

/* Reads the files. Returns 0 when the chain could be read; the key is NULL when it could not. */
static int read_parts(struct identity *identity, const struct identity_source *source,
                      struct problems *problems)
{
    if (source->pkcs12 != NULL) {
        return pkcs12_read(source, problems, &identity->handles.key, &identity->bundle);
    }
    identity->handles.key = key_read(source, problems);
    return bundle_read(source->cert, "certificate chain", BUNDLE_SKIP_OTHERS, source->cert_place,
                       problems, &identity->bundle);
}

/* The source in which a PKCS#12 file is named for both of its parts, as messages want it. */
static struct identity_source complete(const struct identity_source *given)
{
    struct identity_source source = *given;
    if (source.pkcs12 != NULL) {
        source.cert = source.key = source.pkcs12;
        source.cert_place = source.key_place = source.pkcs12_place;
    }
    return source;
}

struct identity *identity_load(const struct identity_source *given, struct problems *problems)
{
    const struct identity_source source = complete(given);
    size_t errors = problems_errors(problems);
    AUTO(release) struct identity *identity = calloc(1, sizeof(*identity));
    if (identity == NULL) {
        problems_error(problems, source.cert_place, "%s: out of memory", source.cert);
        return NULL;
    }
    refs_init(&identity->refs);

    bool has_chain = read_parts(identity, &source, problems) == 0;
    bool has_key = identity->handles.key != NULL;
    if (has_chain) {
        check_chain(identity, &source, problems);
    }
    if (has_chain && has_key) {
        check_match(identity, &source, problems);
    }
    /* An error that was noted before does not count again. */
    if (!has_chain || !has_key || problems_errors(problems) > errors) {
        return NULL;
    }
    if (make_handles(identity) < 0) {
        problems_error(problems, source.cert_place, "%s: out of memory", source.cert);
        return NULL;
    }
    return cleanup_steal(identity);
}

void identity_warn_of_dates(const struct identity *identity, const struct identity_source *given,
                            struct problems *problems)
{
    const struct identity_source source = complete(given);
    bundle_warn_of_dates(&identity->bundle, source.cert, source.cert_place, problems);
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
