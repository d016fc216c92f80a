/* A worker's fields: for the room worker/ only. All but the atomic ones belong to its thread. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "tls/tls.h"
#include "worker/deadline.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#include <uv.h>

/* One read from a caller, and from a backend: large enough to make system calls rare, small enough
 * that no connection keeps the others waiting. */
#define WORKER_PLAIN_READ  ((size_t)64 * 1024)
#define WORKER_CIPHER_READ ((size_t)128 * 1024)

/* The plaintext of one read from a backend, with what was held back of a record before it. */
#define WORKER_PLAIN_MAX (WORKER_CIPHER_READ + (size_t)2 * TLS_RECORD_MAX)

/* Ciphertext that one operation may produce: a read from a caller, with the records' overhead, or a
 * handshake flight. */
#define WORKER_CIPHER_MAX ((size_t)256 * 1024)

/* A service in this worker. */
struct slot {
    struct service *service;     /* a reference; NULL: not served */
    struct endpoints *endpoints; /* a reference; NULL: not known yet */
    struct list waiting;         /* sessions that wait for them */
};

struct worker {
    uv_loop_t loop;
    uv_async_t bell;
    pthread_t thread;
    struct worker_watcher watcher;

    struct slot *slots; /* by service id */
    size_t n_slots;
    struct list acceptors;
    struct list sessions;
    size_t n_sessions, most_sessions; /* now, and since memory was last given back */
    struct deadline *give_back;       /* of memory, after a crowd has left */
    bool draining;
    bool resuming; /* sessions that waited for endpoints are still to be dialled */

    /* Scratch: used within one callback, empty between. */
    uint8_t *plain;    /* WORKER_PLAIN_MAX */
    uint8_t *cipher;   /* WORKER_CIPHER_READ */
    struct buf flight; /* ciphertext on its way out */

    /* Written by the control thread, read by the worker's. */
    struct mailbox mailbox;
    _Atomic(bool) drain, cut, stop;
    _Atomic(uint64_t) pings;

    /* Written by the worker's thread, read by the control thread. */
    _Atomic(uint64_t) turns;
    _Atomic(bool) drained;
};

/* Enters a session into the worker's books, and takes it out again. */
void worker_enter(struct worker *worker, struct list *session);
void worker_leave(struct worker *worker, struct list *session);
