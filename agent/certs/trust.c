#include "certs/trust.h"

#include "base/cleanup.h"
#include "base/refs.h"
#include "certs/anchors.h"
#include "certs/bundle.h"
#include "certs/crl_set.h"
#include "certs/handles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char system_path[] = "system";

struct trust {
    struct refs refs;
    struct bundle bundle; /* empty for the system's CAs */
    gnutls_certificate_credentials_t credentials;
    struct anchors anchors; /* the same CAs, or the system's */
    struct crl_set crls;
};

/* The CAs, one by one. */
struct cas {
    gnutls_x509_crt_t *crts;
    size_t n;
    bool is_copy;
};

static void release_cas(struct cas *cas)
{
    for (size_t i = 0; i < cas->n && cas->is_copy; i++) {
        gnutls_x509_crt_deinit(cas->crts[i]);
    }
    if (cas->is_copy) {
        free(cas->crts);
    }
}

static void release(struct trust **trust)
{
    trust_unref(*trust);
}

/* What GnuTLS takes as an anchor, but an operator hardly meant. */
static void warn_of_misfits(const struct bundle *bundle, const char *path, struct place place,
                            struct problems *problems)
{
    for (size_t i = 0; i < bundle->n; i++) {
        if (!bundle->facts[i].is_ca) {
            problems_warning(
                problems, place,
                "%s: certificate %zu (%s) is no CA: it vouches only for a backend that "
                "presents this very certificate",
                path, i + 1, bundle->facts[i].subject);
        } else if (gnutls_x509_crt_check_key_purpose(bundle->crts[i], GNUTLS_KP_TLS_WWW_SERVER,
                                                     0) == 0) {
            problems_warning(
                problems, place,
                "%s: certificate %zu (%s) is a CA, but not of TLS servers; give the one "
                "that issues the backends' certificates",
                path, i + 1, bundle->facts[i].subject);
        }
    }
}

static int load_file(struct trust *trust, const char *path, struct place place,
                     struct problems *problems)
{
    if (bundle_read(path, "CA certificates", BUNDLE_REFUSE_OTHERS, place, problems,
                    &trust->bundle) < 0) {
        return -1;
    }
    warn_of_misfits(&trust->bundle, path, place, problems);
    bundle_warn_of_dates(&trust->bundle, path, place, problems);
    /* Fewer may count than were given: GnuTLS drops duplicates. */
    int rc = gnutls_certificate_set_x509_trust(trust->credentials, trust->bundle.crts,
                                               (int)trust->bundle.n);
    if (rc <= 0) {
        problems_error(problems, place, "%s: GnuTLS does not take its certificates (%s)", path,
                       gnutls_strerror(rc));
        return -1;
    }
    return 0;
}

static int load_system(struct trust *trust, struct place place, struct problems *problems)
{
    if (gnutls_certificate_set_x509_system_trust(trust->credentials) <= 0) {
        problems_error(problems, place,
                       "the system has no CA certificates; install the package ca-certificates, or "
                       "name a file");
        return -1;
    }
    return 0;
}

static struct trust *new_trust(void)
{
    struct trust *trust = calloc(1, sizeof(*trust));
    if (trust == NULL || gnutls_certificate_allocate_credentials(&trust->credentials) < 0) {
        free(trust);
        return NULL;
    }
    refs_init(&trust->refs);
    gnutls_certificate_set_retrieve_function3(trust->credentials, handles_retrieve);
    return trust;
}

/* Copies the CAs that GnuTLS found, for it lends none. Returns -1 when memory is out. */
static int copy_cas(const struct trust *trust, struct cas *ret_cas)
{
    struct cas cas = {.is_copy = true};
    gnutls_x509_trust_list_t list = NULL;
    gnutls_x509_trust_list_iter_t iter = NULL;
    gnutls_x509_crt_t crt;
    gnutls_certificate_get_trust_list(trust->credentials, &list);
    while (gnutls_x509_trust_list_iter_get_ca(list, &iter, &crt) >= 0) {
        gnutls_x509_crt_t *crts = reallocarray(cas.crts, cas.n + 1, sizeof(gnutls_x509_crt_t));
        if (crts == NULL) {
            gnutls_x509_crt_deinit(crt);
            gnutls_x509_trust_list_iter_deinit(iter);
            release_cas(&cas);
            return -1;
        }
        cas.crts = crts;
        cas.crts[cas.n++] = crt;
    }
    *ret_cas = cas;
    return 0;
}

/* Loads the CAs into an empty trust. */
static int load_cas(struct trust *trust, const char *ca, struct place place,
                    struct problems *problems, struct cas *ret_cas)
{
    if (strcmp(ca, system_path) != 0) {
        if (load_file(trust, ca, place, problems) < 0) {
            return -1;
        }
        *ret_cas = (struct cas){.crts = trust->bundle.crts, .n = trust->bundle.n};
        return 0;
    }
    if (load_system(trust, place, problems) < 0) {
        return -1;
    }
    if (copy_cas(trust, ret_cas) < 0) {
        problems_error(problems, place, "%s: out of memory", ca);
        return -1;
    }
    return 0;
}

struct trust *trust_load(const struct trust_source *source, struct problems *problems)
{
    AUTO(release) struct trust *trust = new_trust();
    AUTO(release_cas) struct cas cas = {0};
    if (trust == NULL) {
        problems_error(problems, source->ca_place, "%s: out of memory", source->ca);
        return NULL;
    }
    if (load_cas(trust, source->ca, source->ca_place, problems, &cas) < 0) {
        return NULL;
    }
    if (anchors_of(cas.crts, cas.n, &trust->anchors) < 0) {
        problems_error(problems, source->ca_place, "%s: out of memory", source->ca);
        return NULL;
    }
    return crl_set_load(source, cas.crts, cas.n, problems, &trust->crls) < 0 ? NULL
                                                                             : cleanup_steal(trust);
}

static void release_problems(struct problems **problems)
{
    problems_free(*problems);
}

int trust_check_crls(const char *ca, const struct crl_file *file, char why[static CRL_WHY_MAX])
{
    AUTO(release) struct trust *trust = new_trust();
    AUTO(release_problems) struct problems *problems = problems_new();
    AUTO(release_cas) struct cas cas = {0};
    if (trust == NULL || problems == NULL ||
        load_cas(trust, ca, (struct place){0}, problems, &cas) < 0) {
        snprintf(why, CRL_WHY_MAX, "cannot be checked while the CAs of %.100s cannot be read", ca);
        return -1;
    }
    return crl_set_check(file, cas.crts, cas.n, why);
}

bool trust_has_same_cas(const struct trust *a, const struct trust *b)
{
    return anchors_equal(&a->anchors, &b->anchors);
}

bool trust_has_same_crls(const struct trust *a, const struct trust *b)
{
    return crl_set_equal(&a->crls, &b->crls);
}

void trust_warn_of_dates(const struct trust *trust, const struct trust_source *source,
                         struct problems *problems)
{
    bundle_warn_of_dates(&trust->bundle, source->ca, source->ca_place, problems);
    crl_set_warn_of_dates(&trust->crls, source, problems);
}

struct trust *trust_ref(struct trust *trust)
{
    refs_take(&trust->refs);
    return trust;
}

struct trust *trust_unref(struct trust *trust)
{
    if (trust == NULL || !refs_drop(&trust->refs)) {
        return NULL;
    }
    gnutls_certificate_free_credentials(trust->credentials);
    bundle_release(&trust->bundle);
    anchors_release(&trust->anchors);
    crl_set_release(&trust->crls);
    free(trust);
    return NULL;
}

const struct inspect_facts *trust_facts(const struct trust *trust, size_t *ret_n)
{
    *ret_n = trust->bundle.n;
    return trust->bundle.facts;
}

gnutls_certificate_credentials_t handles_of_trust(const struct trust *trust)
{
    return trust->credentials;
}

const struct trust_crl_facts *trust_crls(const struct trust *trust, size_t *ret_n)
{
    *ret_n = trust->crls.n;
    return trust->crls.facts;
}

const struct handles_crls *handles_crls_of_trust(const struct trust *trust, size_t *ret_n)
{
    *ret_n = trust->crls.n;
    return trust->crls.handles;
}

bool handles_is_anchor(const struct trust *trust, gnutls_x509_crt_t crt)
{
    return anchors_have(&trust->anchors, crt);
}
