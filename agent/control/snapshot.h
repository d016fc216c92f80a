/* All that the agent runs on: the configuration and every file it names, read, checked and turned
 * into immutable objects. `check` and `run` both start here; a reload reads another one beside it,
 * in which what has not changed is the same object. */
#pragma once

#include "base/problems.h"
#include "config/config.h"
#include "control/ledger.h"
#include "control/part.h"
#include "worker/service.h"

#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_NEW SIZE_MAX

struct snapshot {
    struct config *config;   /* a reference */
    struct part *identities; /* one for each config->certificates, in that order */
    struct part *trusts;     /* each set of files once: a thousand services mostly share one */
    size_t n_trusts;
    const struct part **trust_of; /* one for each config->services */
    struct service **services;    /* one for each config->services; references */
    size_t *was;  /* for each service: its index in the snapshot that was in use when this one was
                   * read, or SNAPSHOT_NEW */
    char **held;  /* for each service: why it keeps an identity or CAs that are not those of its
                   * files any more; NULL: it does not */
    size_t n_ids; /* above every service's id */
};

/* Reads everything and opens no socket. Notes all problems. `before` is the snapshot in use, with
 * its ledger; NULL both: there is none. Returns NULL when there is any error; in `*ret_config`,
 * then and only then, the configuration that the noted places point into, which the caller frees
 * after printing them; NULL when memory is out. */
struct snapshot *snapshot_load(const char *path, const struct snapshot *before,
                               const struct ledger *ledger, struct problems *problems,
                               struct config **ret_config);

/* Reads again, with the configuration as it is, those files that have changed. What is bad stays as
 * it was and has its `problem`. Returns NULL when memory is out. */
struct snapshot *snapshot_refresh(const struct snapshot *before);

/* What a service would present and trust if nothing were held; the identity may be NULL. */
struct identity *snapshot_identity(const struct snapshot *snapshot, size_t service);
struct trust *snapshot_trust(const struct snapshot *snapshot, size_t service);

/* Service `i` goes on as `service`, whose reference is taken over, also on failure, and for this
 * reason. Returns -1 when memory is out. */
int snapshot_hold(struct snapshot *snapshot, size_t i, struct service *service, const char *why);

struct snapshot *snapshot_free(struct snapshot *snapshot);
