#include "control/snapshot.h"

#include "config/quote.h"

#include <stdlib.h>
#include <string.h>

/* Loads the identities, those of a configuration with errors too, so that all is told at once. */
static int load_identities(struct snapshot *snapshot, struct problems *problems)
{
    const struct config *config = snapshot->config;
    snapshot->identities = calloc(config->n_certificates + 1, sizeof(struct identity *));
    if (snapshot->identities == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_certificates; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        const struct identity_source source = {
            .cert = certificate->cert.path,
            .key = certificate->key.path,
            .pkcs12 = certificate->pkcs12.path,
            .password_file = certificate->password_file.path,
            .cert_place = certificate->cert.place,
            .key_place = certificate->key.place,
            .pkcs12_place = certificate->pkcs12.place,
            .password_place = certificate->password_file.place,
        };
        bool has_parts = source.cert != NULL && source.key != NULL;
        bool has_whole = source.pkcs12 != NULL && source.cert == NULL && source.key == NULL;
        if (has_whole || (has_parts && source.pkcs12 == NULL)) {
            snapshot->identities[i] = identity_load(&source, problems);
        }
    }
    return 0;
}

/* A file of CAs and the trust that came of it, NULL when it is bad. */
struct loaded {
    const char *path;
    struct trust *trust;
    struct place place; /* where it was named first */
};

static bool is_same_place(struct place a, struct place b)
{
    return a.line == b.line && strcmp(a.file, b.file) == 0;
}

/* Loads every file of CAs once, whoever uses it: a thousand services mostly share one. */
static int load_trusts(struct snapshot *snapshot, struct problems *problems)
{
    const struct config *config = snapshot->config;
    size_t n_loaded = 0;
    struct loaded *loaded = calloc(config->n_services + 1, sizeof(*loaded));
    snapshot->trusts = calloc(config->n_services + 1, sizeof(struct trust *));
    if (loaded == NULL || snapshot->trusts == NULL) {
        free(loaded);
        return -1;
    }
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_file *ca = &config->services[i].ca;
        size_t at = 0;
        while (ca->path != NULL && at < n_loaded && strcmp(loaded[at].path, ca->path) != 0) {
            at++;
        }
        if (ca->path != NULL && at == n_loaded) {
            loaded[n_loaded++] =
                (struct loaded){ca->path, trust_load(ca->path, ca->place, problems), ca->place};
            snapshot->trusts[i] = loaded[at].trust;
        } else if (ca->path != NULL && loaded[at].trust != NULL) {
            snapshot->trusts[i] = trust_ref(loaded[at].trust);
        } else if (ca->path != NULL && !is_same_place(ca->place, loaded[at].place)) {
            problems_error(problems, ca->place, "%s: cannot be used; see %s:%u", ca->path,
                           loaded[at].place.file, loaded[at].place.line);
        }
    }
    free(loaded);
    return 0;
}

/* The identity that a service presents; NULL when it presents none. */
static struct identity *identity_of(const struct snapshot *snapshot,
                                    const struct config_service *service)
{
    return service->certificate != NULL
               ? snapshot->identities[service->certificate - snapshot->config->certificates]
               : NULL;
}

static void note_bad_profile(const struct config_service *service, const char *why,
                             struct problems *problems)
{
    char quoted[QUOTE_MAX];
    if (service->priority != NULL) {
        problems_error(problems, service->priority_place, "priority = %s: %s",
                       quote_text(service->priority, quoted), why);
    } else {
        problems_error(problems, service->place, "the service \"%s\" cannot be made: %s",
                       service->name, why);
    }
}

/* What make_profile() would find, where nothing is made for other errors. */
static void check_priorities(const struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        const char *why;
        if (service->priority != NULL && profile_check_priority(service->priority, &why) < 0) {
            note_bad_profile(service, why, problems);
        }
    }
}

/* Makes the profile of service `i`. Returns NULL after noting why. */
static struct profile *make_profile(const struct snapshot *snapshot, size_t i,
                                    struct problems *problems)
{
    static const enum profile_sni sni[] = {[CONFIG_SNI_HOST] = PROFILE_SNI_HOST,
                                           [CONFIG_SNI_NAME] = PROFILE_SNI_NAME,
                                           [CONFIG_SNI_OFF] = PROFILE_SNI_OFF};
    const struct config_service *service = &snapshot->config->services[i];
    const struct profile_options options = {
        .identity = identity_of(snapshot, service),
        .trust = snapshot->trusts[i],
        .sni = sni[service->sni],
        .sni_name = service->sni_name,
        .names = service->verify_names,
        .n_names = service->n_verify_names,
        .allow_common_name = service->allow_common_name,
        .pins = (const uint8_t(*)[32])(const void *)service->pins,
        .n_pins = service->n_pins,
        .alpn = (const char *const *)service->alpn,
        .n_alpn = service->n_alpn,
        .tls_min = service->tls_min,
        .tls_max = service->tls_max,
        .priority = service->priority,
    };
    const char *why;
    struct profile *profile = profile_new(&options, &why);
    if (profile == NULL) {
        note_bad_profile(service, why, problems);
    }
    return profile;
}

/* Makes service `i`. Returns NULL after noting why. */
static struct service *make_service(const struct snapshot *snapshot, size_t i,
                                    struct problems *problems)
{
    const struct config_service *config = &snapshot->config->services[i];
    struct profile *profile = make_profile(snapshot, i, problems);
    if (profile == NULL) {
        return NULL;
    }
    struct service *service = service_new(i, config->name, profile);
    profile_unref(profile);
    if (service == NULL) {
        problems_error(problems, config->place, "out of memory; free some");
        return NULL;
    }
    service->connect_timeout_ms = config->connect_timeout_ms;
    service->handshake_timeout_ms = config->handshake_timeout_ms;
    service->idle_timeout_ms = config->idle_timeout_ms;
    service->close_timeout_ms = config->close_timeout_ms;
    service->max_lifetime_ms = config->max_lifetime_ms;
    service->max_connections = config->max_connections;
    service->truncation_is_eof = config->truncation == CONFIG_TRUNCATION_EOF;
    return service;
}

static int make_services(struct snapshot *snapshot, struct problems *problems)
{
    size_t n = snapshot->config->n_services;
    snapshot->services = calloc(n + 1, sizeof(struct service *));
    if (snapshot->services == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        snapshot->services[i] = make_service(snapshot, i, problems);
    }
    return 0;
}

/* Reads all that the configuration names. Services are made of good parts only. */
static int fill(struct snapshot *snapshot, struct problems *problems)
{
    if (load_identities(snapshot, problems) < 0 || load_trusts(snapshot, problems) < 0) {
        return -1;
    }
    if (problems_errors(problems) > 0) {
        check_priorities(snapshot->config, problems);
        return 0;
    }
    return make_services(snapshot, problems);
}

/* Frees a snapshot, also a half-filled one, but for its configuration. */
static void free_parts(struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    for (size_t i = 0; snapshot->services != NULL && i < config->n_services; i++) {
        service_unref(snapshot->services[i]);
    }
    for (size_t i = 0; snapshot->trusts != NULL && i < config->n_services; i++) {
        trust_unref(snapshot->trusts[i]);
    }
    for (size_t i = 0; snapshot->identities != NULL && i < config->n_certificates; i++) {
        identity_unref(snapshot->identities[i]);
    }
    free(snapshot->services);
    free(snapshot->trusts);
    free(snapshot->identities);
    free(snapshot);
}

struct snapshot *snapshot_load(const char *path, struct problems *problems,
                               struct config **ret_config)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    struct config *config = config_load(path, problems);
    if (snapshot == NULL || config == NULL) {
        problems_error(problems, (struct place){path, 0}, "out of memory; free some");
        free(snapshot);
        *ret_config = config;
        return NULL;
    }
    snapshot->config = config;
    if (fill(snapshot, problems) < 0) {
        problems_error(problems, (struct place){path, 0}, "out of memory; free some");
    }
    if (problems_errors(problems) > 0) {
        free_parts(snapshot);
        *ret_config = config;
        return NULL;
    }
    return snapshot;
}

struct snapshot *snapshot_free(struct snapshot *snapshot)
{
    if (snapshot != NULL) {
        struct config *config = snapshot->config;
        free_parts(snapshot);
        config_free(config);
    }
    return NULL;
}
