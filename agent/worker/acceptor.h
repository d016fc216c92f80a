/* A listening socket in a worker: takes callers in and makes sessions of them. */
#pragma once

#include "base/list.h"
#include "worker/worker.h"

struct slot;

/* Begins to accept for a slot; owns `fd` from here on, also on failure. It puts itself into the
 * worker's list. Returns -1 when memory is out. */
int acceptor_start(struct worker *worker, struct slot *slot, int fd);

/* Takes in who is already queued, then stops and frees the acceptor. */
void acceptor_drain(struct list *link);

/* Stops and frees the acceptor. */
void acceptor_stop(struct list *link);
