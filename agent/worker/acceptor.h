/* A listening socket in a worker: takes callers in and makes sessions of them. */
#pragma once

#include "base/list.h"
#include "worker/worker.h"

struct slot;

/* Begins to accept for a slot at a door of that number; owns `fd` from here on, also on failure. It
 * puts itself into the worker's list. Returns -1 when memory is out. */
int acceptor_start(struct worker *worker, struct slot *slot, uint64_t door, int fd,
                   enum change_queue queue);

/* Makes a door lead to another slot. */
void acceptor_move(struct worker *worker, uint64_t door, struct slot *slot);

/* Takes in who is already queued at that door, and closes it. */
void acceptor_close(struct worker *worker, uint64_t door);

/* The worker is to drain: does the same as acceptor_close(), at once or a moment later, and then
 * calls worker_tell_if_drained(). */
void acceptor_drain(struct list *link);

/* Stops and frees the acceptor. */
void acceptor_stop(struct list *link);
