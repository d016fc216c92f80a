#include "control/snapshot.h"

#include "config/same.h"
#include "control/roster.h"

#include <stdlib.h>
#include <string.h>

/* A snapshot in the making. */
struct making {
    struct snapshot *snapshot;
    const struct snapshot *before; /* NULL: none */
    const struct ledger *ledger;
    struct problems *problems;
};

/* ---- the parts that are read from files ---- */

/* The part of `before` for the same certificate: mostly at the same place. */
static const struct part *identity_before(const struct snapshot *before, size_t i,
                                          const struct config_certificate *certificate)
{
    const struct config *config = before != NULL ? before->config : NULL;
    if (config == NULL) {
        return NULL;
    }
    if (i < config->n_certificates && same_certificate(&config->certificates[i], certificate)) {
        return &before->identities[i];
    }
    for (size_t k = 0; k < config->n_certificates; k++) {
        if (same_certificate(&config->certificates[k], certificate)) {
            return &before->identities[k];
        }
    }
    return NULL;
}

/* True when the certificate is told in one of the two ways; what else it is was noted. */
static bool is_readable(const struct config_certificate *certificate)
{
    bool has_cert = certificate->cert.path != NULL, has_key = certificate->key.path != NULL;
    bool has_whole = certificate->pkcs12.path != NULL;
    return has_whole ? !has_cert && !has_key : has_cert && has_key;
}

/* Reads the identities, those of a configuration with errors too, so that all is told at once. */
static int read_identities(const struct making *making)
{
    struct snapshot *snapshot = making->snapshot;
    const struct config *config = snapshot->config;
    snapshot->identities = calloc(config->n_certificates + 1, sizeof(*snapshot->identities));
    if (snapshot->identities == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_certificates; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        if (is_readable(certificate)) {
            part_read_identity(&snapshot->identities[i], certificate,
                               identity_before(making->before, i, certificate), making->problems);
        }
    }
    return 0;
}

/* The part among `n` that is the trust of a service; the last one first, for neighbours are alike.
 */
static struct part *find_trust(struct part *parts, size_t n, const struct config_service *service)
{
    for (size_t i = n; i > 0; i--) {
        if (part_is_trust_of(&parts[i - 1], service)) {
            return &parts[i - 1];
        }
    }
    return NULL;
}

static const struct part *trust_before(const struct snapshot *before, size_t i,
                                       const struct config_service *service)
{
    if (before == NULL) {
        return NULL;
    }
    if (i < before->n_trusts && part_is_trust_of(&before->trusts[i], service)) {
        return &before->trusts[i];
    }
    return find_trust(before->trusts, before->n_trusts, service);
}

static bool is_same_place(struct place a, struct place b)
{
    return a.line == b.line && strcmp(a.file, b.file) == 0;
}

/* A file that cannot be used is told in full once, and for its other users where that was. */
static void note_again(const struct making *making, const struct part *part, size_t service)
{
    const struct config *config = making->snapshot->config;
    size_t first = 0;
    while (making->snapshot->trust_of[first] != part) {
        first++;
    }
    const struct config_file *there = &config->services[first].ca,
                             *here = &config->services[service].ca;
    if (part->trust == NULL && !is_same_place(here->place, there->place)) {
        problems_error(making->problems, here->place, "%s: cannot be used; see %s:%u", here->path,
                       there->place.file, there->place.line);
    }
}

/* Reads each set of CAs and CRLs once, whoever uses it. */
static int read_trusts(const struct making *making)
{
    struct snapshot *snapshot = making->snapshot;
    const struct config *config = snapshot->config;
    snapshot->trusts = calloc(config->n_services + 1, sizeof(*snapshot->trusts));
    snapshot->trust_of = calloc(config->n_services + 1, sizeof(*snapshot->trust_of));
    if (snapshot->trusts == NULL || snapshot->trust_of == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        struct part *part = service->ca.path != NULL
                                ? find_trust(snapshot->trusts, snapshot->n_trusts, service)
                                : NULL;
        if (part != NULL) {
            note_again(making, part, i);
        } else if (service->ca.path != NULL) {
            part = &snapshot->trusts[snapshot->n_trusts++];
            part_read_trust(part, service,
                            trust_before(making->before, snapshot->n_trusts - 1, service),
                            making->problems);
        }
        snapshot->trust_of[i] = part;
    }
    return 0;
}

struct identity *snapshot_identity(const struct snapshot *snapshot, size_t service)
{
    const struct config *config = snapshot->config;
    const struct config_certificate *certificate = config->services[service].certificate;
    return certificate != NULL ? snapshot->identities[certificate - config->certificates].identity
                               : NULL;
}

struct trust *snapshot_trust(const struct snapshot *snapshot, size_t service)
{
    return snapshot->trust_of[service]->trust;
}

int snapshot_hold(struct snapshot *snapshot, size_t i, struct service *service, const char *why)
{
    char *copy = strdup(why);
    if (copy == NULL) {
        service_unref(service);
        return -1;
    }
    free(snapshot->held[i]);
    snapshot->held[i] = copy;
    service_unref(snapshot->services[i]);
    snapshot->services[i] = service;
    return 0;
}

/* ---- the whole ---- */

/* Reads all that the configuration names. Services are made of good parts only. */
static int fill(const struct making *making)
{
    struct snapshot *snapshot = making->snapshot;
    snapshot->held = calloc(snapshot->config->n_services + 1, sizeof(char *));
    if (snapshot->held == NULL || read_identities(making) < 0 || read_trusts(making) < 0) {
        return -1;
    }
    if (problems_errors(making->problems) > 0) {
        roster_check_priorities(snapshot->config, making->problems);
        return 0;
    }
    return roster_fill(snapshot, making->before, making->ledger, making->problems);
}

/* Frees a snapshot, also a half-filled one, but for its configuration. */
static void free_parts(struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    for (size_t i = 0; i < config->n_services; i++) {
        if (snapshot->services != NULL) {
            service_unref(snapshot->services[i]);
        }
        if (snapshot->held != NULL) {
            free(snapshot->held[i]);
        }
    }
    for (size_t i = 0; snapshot->trusts != NULL && i < snapshot->n_trusts; i++) {
        part_release(&snapshot->trusts[i]);
    }
    for (size_t i = 0; snapshot->identities != NULL && i < config->n_certificates; i++) {
        part_release(&snapshot->identities[i]);
    }
    free(snapshot->services);
    free(snapshot->was);
    free(snapshot->held);
    free(snapshot->trust_of);
    free(snapshot->trusts);
    free(snapshot->identities);
    free(snapshot);
}

struct snapshot *snapshot_load(const char *path, const struct snapshot *before,
                               const struct ledger *ledger, struct problems *problems,
                               struct config **ret_config)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    struct config *config = config_load(path, problems);
    const struct making making = {snapshot, before, ledger, problems};
    if (snapshot == NULL || config == NULL) {
        problems_error(problems, (struct place){path, 0}, "out of memory; free some");
        free(snapshot);
        *ret_config = config;
        return NULL;
    }
    snapshot->config = config;
    if (fill(&making) < 0) {
        problems_error(problems, (struct place){path, 0}, "out of memory; free some");
    }
    if (problems_errors(problems) > 0) {
        free_parts(snapshot);
        *ret_config = config;
        return NULL;
    }
    return snapshot;
}

/* ---- the same with files that have changed ---- */

static void keep_first_error(void *ctx, bool is_error, const char *text)
{
    char **first = ctx;
    if (is_error && *first == NULL) {
        *first = strdup(text);
    }
}

/* A part whose files are bad goes on with what it has. */
static int keep(struct part *part, const struct part *before, const struct problems *problems)
{
    char *why = NULL;
    problems_each(problems, keep_first_error, &why);
    int rc = why != NULL ? part_keep(part, before, why) : -1;
    free(why);
    return rc;
}

static int refresh_identity(struct snapshot *snapshot, const struct snapshot *before, size_t i)
{
    struct problems *problems = problems_new();
    if (problems == NULL) {
        return -1;
    }
    struct part *part = &snapshot->identities[i];
    int rc = part_read_identity(part, &before->config->certificates[i], &before->identities[i],
                                problems);
    rc = rc < 0 ? keep(part, &before->identities[i], problems) : 0;
    if (part->identity != before->identities[i].identity) {
        problems_log(problems, false);
    }
    problems_free(problems);
    return rc;
}

static int refresh_trust(struct snapshot *snapshot, const struct snapshot *before, size_t i)
{
    struct problems *problems = problems_new();
    size_t user = 0;
    if (problems == NULL) {
        return -1;
    }
    while (before->trust_of[user] != &before->trusts[i]) {
        user++;
    }
    struct part *part = &snapshot->trusts[i];
    int rc = part_read_trust(part, &before->config->services[user], &before->trusts[i], problems);
    rc = rc < 0 ? keep(part, &before->trusts[i], problems) : 0;
    if (part->trust != before->trusts[i].trust) {
        problems_log(problems, false);
    }
    problems_free(problems);
    return rc;
}

static int refresh_parts(struct snapshot *snapshot, const struct snapshot *before)
{
    const struct config *config = snapshot->config;
    snapshot->identities = calloc(config->n_certificates + 1, sizeof(*snapshot->identities));
    snapshot->trusts = calloc(before->n_trusts + 1, sizeof(*snapshot->trusts));
    snapshot->trust_of = calloc(config->n_services + 1, sizeof(*snapshot->trust_of));
    snapshot->held = calloc(config->n_services + 1, sizeof(char *));
    if (snapshot->identities == NULL || snapshot->trusts == NULL || snapshot->trust_of == NULL ||
        snapshot->held == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_certificates; i++) {
        if (refresh_identity(snapshot, before, i) < 0) {
            return -1;
        }
    }
    while (snapshot->n_trusts < before->n_trusts) {
        if (refresh_trust(snapshot, before, snapshot->n_trusts++) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < config->n_services; i++) {
        snapshot->trust_of[i] = &snapshot->trusts[before->trust_of[i] - before->trusts];
    }
    return 0;
}

struct snapshot *snapshot_refresh(const struct snapshot *before)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    struct problems *problems = problems_new();
    if (snapshot == NULL || problems == NULL) {
        free(snapshot);
        problems_free(problems);
        return NULL;
    }
    snapshot->config = config_ref(before->config);
    if (refresh_parts(snapshot, before) < 0 || roster_fill(snapshot, before, NULL, problems) < 0 ||
        problems_errors(problems) > 0) {
        snapshot = snapshot_free(snapshot);
    }
    problems_free(problems);
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
