/* All that the agent runs on: the configuration and every file it names, read, checked and turned
 * into immutable objects. `check` and `run` both start here. */
#pragma once

#include "base/problems.h"
#include "certs/identity.h"
#include "certs/trust.h"
#include "config/config.h"
#include "worker/service.h"

#include <stddef.h>

struct snapshot {
    struct config *config;
    struct identity **identities; /* one for each config->certificates, in that order */
    struct trust **trusts; /* one for each config->services: shared where the file is the same */
    struct service **services; /* one for each config->services, with id = its index */
};

/* Reads everything and opens no socket. Notes all problems. Returns NULL when there is any error;
 * in `*ret_config`, then and only then, the configuration that the noted places point into, which
 * the caller frees after printing them; NULL when memory is out. */
struct snapshot *snapshot_load(const char *path, struct problems *problems,
                               struct config **ret_config);

struct snapshot *snapshot_free(struct snapshot *snapshot);
