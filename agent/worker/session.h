/* One caller's connection, from accept to the line in the log. */
#pragma once

#include "base/addr.h"
#include "base/list.h"
#include "worker/worker.h"

struct slot;

/* Begins to serve a caller; owns `fd` from here on, also on failure. The session ends by itself, or
 * by session_cut(). */
void session_start(struct worker *worker, struct slot *slot, int fd, const struct addr *caller);

/* Goes on with a session that waited for its service's endpoints. */
void session_resolved(struct list *waiting);

/* Ends a session with `shutting_down`. */
void session_cut(struct list *link);
