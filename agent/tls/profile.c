#include "tls/profile.h"

#include "base/cleanup.h"
#include "certs/handles.h"
#include "tls/profile_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Ours: forward secrecy and AEAD only. AES-128-GCM-SHA256 leads because SHA-384 has no hardware
 * path in nettle, and of the groups X25519, which costs two thirds of SECP256R1 there: key exchange
 * and hash are most of a resumed handshake. */
#define OUR_PRIORITY                                                                               \
    "NORMAL:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:+DHE-RSA"                                              \
    ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD"                     \
    ":-GROUP-ALL:+GROUP-X25519:+GROUP-ALL"                                                         \
    ":-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%PROFILE_MEDIUM"

static const char out_of_memory[] = "out of memory";
static const char changes_trust[] =
    "it has a word that changes how backends are verified, which a priority string cannot do here";

/* Words that would loosen the trust rules of a service, however expert the operator, or that our
 * own rules leave without effect. */
static bool touches_trust(const char *priority)
{
    static const char *const forbidden[] = {
        "%VERIFY_ALLOW",         "%VERIFY_DISABLE",        "%PROFILE_VERY_WEAK",
        "%PROFILE_LOW",          "%PROFILE_LEGACY",        "%DEBUG_ALLOW",
        "%UNSAFE_RENEGOTIATION", "%PARTIAL_RENEGOTIATION", "%DISABLE_WILDCARDS",
        "%NO_STATUS_REQUEST",
    };
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        if (strcasestr(priority, forbidden[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* NORMAL and the like bring a weak profile, or none; these bring one that is better than ours. */
static bool has_profile(const char *priority)
{
    static const char *const bringers[] = {"%PROFILE_", "SECURE", "SUITEB"};
    for (size_t i = 0; i < sizeof(bringers) / sizeof(bringers[0]); i++) {
        if (strcasestr(priority, bringers[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* What holds whatever the string says is appended: the versions, and the strength that certificates
 * must have. */
static int read_priority(const char *text, unsigned tls_min, unsigned tls_max,
                         gnutls_priority_t *ret_priority, const char **ret_why)
{
    AUTO_FREE char *whole = NULL;
    if (asprintf(&whole, "%s%s:-VERS-ALL%s%s", text, has_profile(text) ? "" : ":%PROFILE_MEDIUM",
                 tls_max >= 13 ? ":+VERS-TLS1.3" : "", tls_min <= 12 ? ":+VERS-TLS1.2" : "") < 0) {
        whole = NULL;
        *ret_why = out_of_memory;
        return -1;
    }
    int rc = gnutls_priority_init(ret_priority, whole, NULL);
    if (rc < 0) {
        *ret_priority = NULL;
        *ret_why = rc == GNUTLS_E_MEMORY_ERROR
                       ? out_of_memory
                       : "GnuTLS does not understand it, or it leaves nothing "
                         "to choose from (gnutls-cli --list tests a string)";
        return -1;
    }
    return 0;
}

static int set_priority(struct profile *profile, const struct profile_options *options,
                        const char **ret_why)
{
    if (options->priority == NULL) {
        return read_priority(OUR_PRIORITY, options->tls_min, options->tls_max, &profile->priority,
                             ret_why);
    }
    if (touches_trust(options->priority)) {
        *ret_why = changes_trust;
        return -1;
    }
    return read_priority(options->priority, options->tls_min, options->tls_max, &profile->priority,
                         ret_why);
}

int profile_check_priority(const char *priority, const char **ret_why)
{
    struct profile profile = {0};
    const struct profile_options options = {.priority = priority, .tls_min = 12, .tls_max = 13};
    if (set_priority(&profile, &options, ret_why) < 0) {
        return -1;
    }
    gnutls_priority_deinit(profile.priority);
    return 0;
}

static int copy_names(struct profile *profile, const struct profile_options *options)
{
    if (options->n_names == 0) {
        return 0;
    }
    profile->names = calloc(options->n_names, sizeof(profile->names[0]));
    if (profile->names == NULL) {
        return -1;
    }
    for (size_t i = 0; i < options->n_names; i++) {
        profile->n_names++;
        if (name_copy(&options->names[i], &profile->names[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int copy_pins(struct profile *profile, const struct profile_options *options)
{
    if (options->n_pins == 0) {
        return 0;
    }
    profile->pins = calloc(options->n_pins, sizeof(profile->pins[0]));
    if (profile->pins == NULL) {
        return -1;
    }
    memcpy(profile->pins, options->pins, options->n_pins * sizeof(profile->pins[0]));
    profile->n_pins = options->n_pins;
    return 0;
}

static int copy_alpn(struct profile *profile, const struct profile_options *options)
{
    if (options->n_alpn == 0) {
        return 0;
    }
    profile->alpn = calloc(options->n_alpn, sizeof(profile->alpn[0]));
    if (profile->alpn == NULL) {
        return -1;
    }
    for (size_t i = 0; i < options->n_alpn; i++) {
        char *copy = strdup(options->alpn[i]);
        if (copy == NULL) {
            return -1;
        }
        profile->alpn[i] = (gnutls_datum_t){(unsigned char *)copy, (unsigned)strlen(copy)};
        profile->n_alpn++;
    }
    return 0;
}

static int copy_sni(struct profile *profile, const struct profile_options *options)
{
    profile->sni = options->sni;
    if (options->sni != PROFILE_SNI_NAME) {
        return 0;
    }
    profile->sni_name = strdup(options->sni_name);
    return profile->sni_name != NULL ? 0 : -1;
}

struct profile *profile_new(const struct profile_options *options, const char **ret_why)
{
    struct profile *profile = calloc(1, sizeof(*profile));
    if (profile == NULL) {
        *ret_why = out_of_memory;
        return NULL;
    }
    refs_init(&profile->refs);
    profile->identity = options->identity != NULL ? identity_ref(options->identity) : NULL;
    profile->trust = trust_ref(options->trust);
    profile->allow_common_name = options->allow_common_name;

    *ret_why = out_of_memory;
    if (set_priority(profile, options, ret_why) < 0 || copy_sni(profile, options) < 0 ||
        copy_names(profile, options) < 0 || copy_pins(profile, options) < 0 ||
        copy_alpn(profile, options) < 0) {
        return profile_unref(profile);
    }
    return profile;
}

struct identity *profile_identity(const struct profile *profile)
{
    return profile->identity;
}

struct trust *profile_trust(const struct profile *profile)
{
    return profile->trust;
}

bool profile_has_run_out(const struct profile *profile, time_t now)
{
    size_t n = 0;
    const struct inspect_facts *own =
        profile->identity != NULL ? identity_facts(profile->identity, &n) : NULL;
    return n > 0 && own[0].not_after < now;
}

bool profile_signs_slowly(const struct profile *profile)
{
    return profile->identity != NULL && handles_signs_slowly(profile->identity);
}

struct profile *profile_ref(struct profile *profile)
{
    refs_take(&profile->refs);
    return profile;
}

struct profile *profile_unref(struct profile *profile)
{
    if (profile == NULL || !refs_drop(&profile->refs)) {
        return NULL;
    }
    for (size_t i = 0; i < profile->n_names; i++) {
        name_release(&profile->names[i]);
    }
    for (unsigned i = 0; i < profile->n_alpn; i++) {
        free(profile->alpn[i].data);
    }
    free(profile->names);
    free(profile->alpn);
    free(profile->pins);
    free(profile->sni_name);
    if (profile->priority != NULL) {
        gnutls_priority_deinit(profile->priority);
    }
    trust_unref(profile->trust);
    identity_unref(profile->identity);
    free(profile);
    return NULL;
}
