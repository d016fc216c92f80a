/* DNS in the background: the addresses of every service, refreshed by their TTL.
 *
 * Each distinct host of the configuration is asked for once, whoever uses it. The last good answer
 * is kept while DNS fails, and beyond a reload. IP literals need no question. c-ares stays behind
 * this door. */
#pragma once

#include "control/snapshot.h"
#include "worker/endpoints.h"

#include <uv.h>

struct resolver;
struct target;

/* Called in the control thread when a service's endpoints are first known, and whenever they
 * change. `endpoints` is the callee's to unref; it may be empty (see endpoints.h). */
typedef void resolver_found(void *ctx, size_t service_id, struct endpoints *endpoints);

/* Makes a resolver that has nothing to ask yet. Returns NULL when memory is out. */
struct resolver *resolver_start(uv_loop_t *loop, resolver_found *found, void *ctx);

/* What is to be resolved from now on, under construction. */
struct resolver_plan;

/* Prepares for a snapshot that was read beside the one in use. Returns NULL when memory is out. */
struct resolver_plan *resolver_plan(struct resolver *resolver, const struct snapshot *next);

/* Resolves what the plan's snapshot needs, which must outlive this, and nothing else. Services
 * whose addresses are as they were keep what is known; others may be found before this returns.
 * Frees the plan. */
void resolver_commit(struct resolver *resolver, struct resolver_plan *plan);

/* Accepts NULL; returns NULL. */
struct resolver_plan *resolver_plan_free(struct resolver_plan *plan);

/* What is known of service `i` of the snapshot. */
const struct target *resolver_target(const struct resolver *resolver, size_t i);

/* Ends all questions and timers; `found` is not called again. The loop must run once more for the
 * memory to be freed. Accepts NULL; returns NULL. */
struct resolver *resolver_stop(struct resolver *resolver);

/* c-ares's version at run time. */
const char *resolver_library_version(void);
