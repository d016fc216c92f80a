#include "certs/trust.h"

#include "base/cleanup.h"
#include "base/refs.h"
#include "certs/bundle.h"
#include "certs/handles.h"

#include <stdlib.h>
#include <string.h>

static const char system_path[] = "system";

struct trust {
    struct refs refs;
    struct bundle bundle; /* empty for the system's CAs */
    gnutls_certificate_credentials_t credentials;
};

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

struct trust *trust_load(const char *path, struct place place, struct problems *problems)
{
    AUTO(release) struct trust *trust = new_trust();
    if (trust == NULL) {
        problems_error(problems, place, "%s: out of memory", path);
        return NULL;
    }
    int rc = strcmp(path, system_path) == 0 ? load_system(trust, place, problems)
                                            : load_file(trust, path, place, problems);
    return rc < 0 ? NULL : cleanup_steal(trust);
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
