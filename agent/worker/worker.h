/* A worker: one thread with its own event loop that carries traffic. The control plane talks to it
 * by mail only; every function here is for the control thread and returns at once. */
#pragma once

#include "worker/endpoints.h"
#include "worker/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* What a worker tells the control plane. `changed` is called in the worker's thread when its state
 * as given by worker_is_drained() may have changed, or when a folding has begun (tally.h); it must
 * only wake the control loop. */
struct worker_watcher {
    void (*changed)(void *ctx);
    void *ctx;
};

/* Starts a worker for services with ids below `n_services`. Returns NULL, with errno set, when the
 * loop or the thread cannot be made. */
struct worker *worker_start(size_t n_services, struct worker_watcher watcher);

/* Begins to serve: takes a reference to `service` and owns the listening sockets `fds` from here
 * on, also on failure. Callers that arrive before the first endpoints wait within the connect
 * budget. Returns -1 when memory is out. */
int worker_serve(struct worker *worker, struct service *service, const int *fds, size_t n_fds);

/* Hands over where a service's backends are now; takes a reference. New connections use it, and
 * those that wait for it; running ones go on. Returns -1 when memory is out. */
int worker_resolve(struct worker *worker, size_t service_id, struct endpoints *endpoints);

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
