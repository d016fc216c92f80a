#include "control/roster.h"

#include "config/quote.h"
#include "config/same.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Services in the making. */
struct making {
    struct snapshot *snapshot;
    const struct snapshot *before; /* NULL: none */
    const struct ledger *ledger;   /* NULL: none */
    struct problems *problems;
    size_t *by_name; /* the indices of before's services, sorted by name */
    bool *taken;     /* which ids are in use; see next_id() */
    size_t next;
};

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

void roster_check_priorities(const struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        const char *why;
        if (service->priority != NULL && profile_check_priority(service->priority, &why) < 0) {
            note_bad_profile(service, why, problems);
        }
    }
}

/* Makes a profile. Returns NULL after noting why. */
static struct profile *make_profile(const struct config_service *service, struct identity *identity,
                                    struct trust *trust, struct problems *problems)
{
    static const enum profile_sni sni[] = {[CONFIG_SNI_HOST] = PROFILE_SNI_HOST,
                                           [CONFIG_SNI_NAME] = PROFILE_SNI_NAME,
                                           [CONFIG_SNI_OFF] = PROFILE_SNI_OFF};
    const struct profile_options options = {
        .identity = identity,
        .trust = trust,
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

static void copy_settings(const struct config_service *config, struct service *service)
{
    service->connect_timeout_ms = config->connect_timeout_ms;
    service->handshake_timeout_ms = config->handshake_timeout_ms;
    service->idle_timeout_ms = config->idle_timeout_ms;
    service->close_timeout_ms = config->close_timeout_ms;
    service->max_lifetime_ms = config->max_lifetime_ms;
    service->max_connections = config->max_connections;
    service->truncation_is_eof = config->truncation == CONFIG_TRUNCATION_EOF;
    service->session_reuse = config->session_reuse;
    service->prewarm_auto = config->prewarm == CONFIG_PREWARM_AUTO;
    service->prewarm = service->prewarm_auto ? 0 : config->prewarm;
    service->prewarm_max_age_ms = config->prewarm_max_age_ms;
}

/* Makes a service with the account that it has, or with one of its own, and gives the profile back.
 * Returns NULL when memory is out. */
static struct service *make_service(const struct config_service *config, size_t id,
                                    struct profile *profile, struct account *before)
{
    struct account *account = before != NULL ? account_ref(before) : account_new(config->name);
    struct service *service = account != NULL ? service_new(id, profile, account) : NULL;
    account_unref(account);
    profile_unref(profile);
    if (service != NULL) {
        copy_settings(config, service);
    }
    return service;
}

/* Makes service `i` of its parts. Returns NULL after noting why. */
static struct service *make(const struct making *making, size_t i, size_t id,
                            struct account *before)
{
    const struct config_service *config = &making->snapshot->config->services[i];
    struct profile *profile = make_profile(config, snapshot_identity(making->snapshot, i),
                                           snapshot_trust(making->snapshot, i), making->problems);
    if (profile == NULL) {
        return NULL;
    }
    struct service *service = make_service(config, id, profile, before);
    if (service == NULL) {
        problems_error(making->problems, config->place, "out of memory; free some");
    }
    return service;
}

struct service *roster_compose(const struct snapshot *snapshot, size_t i,
                               const struct service *like, struct identity *identity,
                               struct trust *trust)
{
    const struct config_service *config = &snapshot->config->services[i];
    struct problems *problems = problems_new();
    struct profile *profile =
        problems != NULL ? make_profile(config, identity, trust, problems) : NULL;
    problems_free(problems);
    return profile != NULL ? make_service(config, like->id, profile, like->account) : NULL;
}

/* True when service `i` is in all that matters the one that is in use. */
static bool is_unchanged(const struct making *making, size_t i, size_t was)
{
    const struct snapshot *snapshot = making->snapshot, *before = making->before;
    const struct profile *profile = before->services[was]->profile;
    return profile_identity(profile) == snapshot_identity(snapshot, i) &&
           profile_trust(profile) == snapshot_trust(snapshot, i) &&
           (snapshot->config == before->config ||
            same_service(&snapshot->config->services[i], &before->config->services[was]));
}

static int by_name(const void *a, const void *b, void *ctx)
{
    const struct snapshot *before = ctx;
    return strcmp(before->services[*(const size_t *)a]->name,
                  before->services[*(const size_t *)b]->name);
}

static int sort_names(struct making *making)
{
    size_t n = making->before != NULL ? making->before->config->n_services : 0;
    making->by_name = calloc(n + 1, sizeof(*making->by_name));
    if (making->by_name == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        making->by_name[i] = i;
    }
    qsort_r(making->by_name, n, sizeof(*making->by_name), by_name, (void *)making->before);
    return 0;
}

/* The index of the service of that name in `before`, or SNAPSHOT_NEW. */
static size_t find_name(const struct making *making, const char *name)
{
    size_t low = 0, high = making->before != NULL ? making->before->config->n_services : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, making->before->services[making->by_name[middle]]->name);
        if (order == 0) {
            return making->by_name[middle];
        }
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return SNAPSHOT_NEW;
}

static int start_ids(struct making *making)
{
    const struct snapshot *before = making->before;
    size_t used = before != NULL ? before->n_ids : 0;
    making->taken = calloc(used + making->snapshot->config->n_services + 1, sizeof(bool));
    for (size_t i = 0; making->taken != NULL && before != NULL && i < before->config->n_services;
         i++) {
        making->taken[before->services[i]->id] = true;
    }
    return making->taken != NULL ? 0 : -1;
}

/* An id that no service in use has: one that is removed gives its own back only when the workers
 * have heard of that. */
static size_t next_id(struct making *making)
{
    while (making->taken[making->next]) {
        making->next++;
    }
    return making->next++;
}

/* The service in use if nothing of it has changed, else a new one in its place. */
static struct service *renew(struct making *making, size_t i)
{
    size_t was = making->snapshot->was[i];
    if (was == SNAPSHOT_NEW) {
        return make(making, i, next_id(making),
                    ledger_find(making->ledger, making->snapshot->config->services[i].name));
    }
    struct service *service = making->before->services[was];
    return is_unchanged(making, i, was) ? service_ref(service)
                                        : make(making, i, service->id, service->account);
}

static int make_services(struct making *making)
{
    struct snapshot *snapshot = making->snapshot;
    size_t n = snapshot->config->n_services;
    snapshot->services = calloc(n + 1, sizeof(struct service *));
    snapshot->was = calloc(n + 1, sizeof(*snapshot->was));
    if (snapshot->services == NULL || snapshot->was == NULL || sort_names(making) < 0 ||
        start_ids(making) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        snapshot->was[i] = find_name(making, snapshot->config->services[i].name);
        struct service *service = snapshot->services[i] = renew(making, i);
        if (service != NULL && service->id >= snapshot->n_ids) {
            snapshot->n_ids = service->id + 1;
        }
    }
    return 0;
}

int roster_fill(struct snapshot *snapshot, const struct snapshot *before,
                const struct ledger *ledger, struct problems *problems)
{
    struct making making = {.snapshot = snapshot,
                            .before = before,
                            .ledger = ledger,
                            .problems = problems};
    int rc = make_services(&making);
    free(making.by_name);
    free(making.taken);
    return rc;
}
