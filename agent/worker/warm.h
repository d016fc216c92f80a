/* The sessions of one service that one worker keeps ready ahead of its callers, so that a new
 * connection costs its caller one round trip to the backend instead of three. They are nobody's
 * traffic: callers, bytes and time limits are counted from the moment that one is handed out. */
#pragma once

#include "worker/endpoints.h"
#include "worker/service.h"
#include "worker/upstream.h"
#include "worker/worker.h"

#include <stdbool.h>

struct warm;

/* True when the service wants sessions to be kept ready. */
bool warm_is_wanted(const struct service *service);

/* Keeps nothing ready before warm_resolve(). References the service. NULL when memory is out. */
struct warm *warm_new(struct worker *worker, struct service *service);

/* These are the endpoints from now on, of which a reference is taken; what leads elsewhere is
 * closed. New sessions are begun in the next turn of the loop. */
void warm_resolve(struct warm *warm, struct endpoints *endpoints);

/* Hands a session to a caller who has just come: one whose backend has not closed it, as far as can
 * be seen here. False when there is none. */
bool warm_take(struct warm *warm, struct upstream *ret_upstream);

/* The backend has accepted a session that a caller has made: it is up. */
void warm_encourage(struct warm *warm);

/* Gives up all sessions; those that are ready are closed in order, some in each turn of the loop.
 * Accepts NULL; returns NULL. */
struct warm *warm_free(struct warm *warm);
