/* A worker: one thread with its own event loop that carries traffic. The control plane talks to it
 * by mail only; every function here is for the control thread and returns at once. */
#pragma once

#include "worker/change.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* What a worker tells the control plane. `changed` is called in the worker's thread when its state
 * as given by worker_is_drained() or worker_changes() may have changed, or when a folding has begun
 * (tally.h); it must only wake the control loop. */
struct worker_watcher {
    void (*changed)(void *ctx);
    void *ctx;
};

/* Starts one of `n_peers` workers, which serves nothing yet. Returns NULL, with errno set, when the
 * loop or the thread cannot be made. */
struct worker *worker_start(unsigned n_peers, struct worker_watcher watcher);

/* Hands a change over; the worker owns it. Callers that arrive before the first endpoints wait
 * within the connect budget. */
void worker_change(struct worker *worker, struct change *change);

/* How many changes it has carried out. */
uint64_t worker_changes(const struct worker *worker);

/* Stops accepting, after what the kernel has already queued, and lets the connections run out. */
void worker_drain(struct worker *worker);

/* Ends all connections with `shutting_down`. */
void worker_cut(struct worker *worker);

/* Asks the loop for a sign of life; worker_turns() grows when it has answered. */
void worker_ping(struct worker *worker);
uint64_t worker_turns(const struct worker *worker);

/* True when it was told to drain and no connection is left. */
bool worker_is_drained(const struct worker *worker);

/* Ends the thread, with what connections it has left, waits for it, and frees the worker. Accepts
 * NULL; returns NULL. */
struct worker *worker_stop(struct worker *worker);
