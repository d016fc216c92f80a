/* A worker's fields: for the room worker/ only. All but the atomic ones belong to its thread. */
#pragma once

#include "base/list.h"
#include "base/mailbox.h"
#include "worker/deadline.h"
#include "worker/jobs.h"
#include "worker/scratch.h"
#include "worker/slot.h"
#include "worker/trickle.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#include <uv.h>

struct worker {
    uv_loop_t loop;
    uv_async_t bell;
    pthread_t thread;
    struct worker_watcher watcher;
    uint64_t last_fd, fd_seen_ms; /* the descriptor of the last caller, and when it came */
    size_t n_spares_begun; /* sessions ahead of callers that are being made, of all services */
    uint64_t most_fds;     /* callers are taken in while a new descriptor's number is below this */
    unsigned n_peers;      /* workers in all, of which each has sockets of its own on every port */

    struct slot **slots; /* by service id; NULL: none of that id */
    size_t n_slots;
    struct list acceptors;
    struct list sessions;
    struct list retirements;          /* under way */
    size_t n_sessions, most_sessions; /* now, and since memory was last given back */
    struct deadline *give_back;       /* of memory, after a crowd has left */
    struct deadline *sweep;           /* for what has grown too old to be of use */
    struct trickle *leaving;          /* sessions that were kept ready, and are to be closed */
    bool draining;
    bool waking; /* sessions that waited for endpoints are still to be dialled */

    struct scratch scratch;
    struct jobs *jobs;

    /* Written by the control thread, read by the worker's. */
    struct mailbox mailbox;
    _Atomic(bool) drain, cut, stop;
    _Atomic(uint64_t) pings;

    /* Written by the worker's thread, read by the control thread. */
    _Atomic(uint64_t) turns, changes;
    _Atomic(bool) drained;
};

/* To be called when an acceptor or a session is gone. */
void worker_tell_if_drained(struct worker *worker);

/* True when a new descriptor's number would be less than `below`: the kernel gives out the lowest
 * that is free. */
bool worker_has_descriptor(uint64_t below);

/* The slot of this service; NULL when it is removed, or is another by now. */
struct slot *worker_slot(struct worker *worker, const struct service *service);

/* A backend of the service has accepted a caller's session: whoever keeps sessions ready for it may
 * have had no luck so far. */
void worker_note_acceptance(struct worker *worker, const struct service *service);

/* Enters a session into the worker's books, and takes it out again. */
void worker_enter(struct worker *worker, struct list *session);
void worker_leave(struct worker *worker, struct list *session);
