/* The status endpoint's sockets: opened and closed as `status` says, from one configuration to the
 * next. */
#pragma once

#include "base/problems.h"
#include "config/config.h"
#include "status/server.h"

#include <stdbool.h>

#include <uv.h>

struct doors;
struct publish;

/* Serves nowhere yet. With `is_shared` an older agent may still listen at the same places. Returns
 * NULL when memory or descriptors are out. */
struct publish *publish_start(uv_loop_t *loop, bool is_shared, const struct server_events *events,
                              void *ctx);

struct publish_plan;

/* True when it is served at that address, or in the way of it. */
bool publish_is_at(const struct publish *publish, const struct addr *addr);

/* Opens what a configuration wants and is not open yet, also where a door still is. Notes with its
 * place what cannot be opened: an error, or only a warning where nobody asked for it. Returns NULL
 * after an error. */
struct publish_plan *publish_plan(struct publish *publish, const struct doors *doors,
                                  const struct config *config, struct problems *problems);

/* Serves where the plan says, and nowhere else. Frees the plan. */
void publish_commit(struct publish *publish, struct publish_plan *plan);

/* Closes again what was opened for it. Accepts NULL; returns NULL. */
struct publish_plan *publish_plan_free(struct publish_plan *plan);

/* Accepts NULL; returns NULL. */
struct publish *publish_stop(struct publish *publish);
