/* DNS in the background: the addresses of every service, refreshed by their TTL.
 *
 * Each distinct host of the configuration is asked for once, whoever uses it. The last good answer
 * is kept while DNS fails. IP literals need no question. c-ares stays behind this door. */
#pragma once

#include "config/config.h"
#include "worker/endpoints.h"

#include <uv.h>

struct resolver;

/* Called in the control thread when a service's endpoints are first known, and whenever they
 * change. `endpoints` is the callee's to unref; it may be empty (see endpoints.h). */
typedef void resolver_found(void *ctx, size_t service_id, struct endpoints *endpoints);

/* Begins to resolve all addresses of all services of `config`, which must outlive the resolver.
 * Returns NULL when it cannot be made. `found` may be called before this returns. */
struct resolver *resolver_start(uv_loop_t *loop, const struct config *config, resolver_found *found,
                                void *ctx);

/* Ends all questions and timers; `found` is not called again. The loop must run once more for the
 * memory to be freed. Accepts NULL; returns NULL. */
struct resolver *resolver_stop(struct resolver *resolver);

/* c-ares's version at run time. */
const char *resolver_library_version(void);
