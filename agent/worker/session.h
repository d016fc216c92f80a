/* One caller's connection, from accept to the line in the log. */
#pragma once

#include "base/addr.h"
#include "base/list.h"
#include "worker/worker.h"

struct slot;

/* Begins to serve a caller; owns `fd` from here on, also on failure. The session ends by itself, or
 * by session_cut(). */
void session_start(struct worker *worker, struct slot *slot, int fd, const struct addr *caller);

/* Goes on with a session that waited for its service's endpoints, which are known now. */
void session_resolved(struct list *waiting, struct slot *slot);

/* Ends a session that waited for the endpoints of a service that is no longer served. */
void session_turn_away(struct list *waiting);

/* Ends a session with `shutting_down`. */
void session_cut(struct list *link);
