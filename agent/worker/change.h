/* What a worker is to change, put together by the control plane beforehand, so that handing it over
 * can no longer fail. The steps are taken in the order in which they were added, in one turn of the
 * worker's loop. Functions that add a step return -1 when memory is out. */
#pragma once

#include "base/mailbox.h"
#include "worker/endpoints.h"
#include "worker/retirement.h"
#include "worker/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct change;

/* Makes an empty change, for services with ids below `n_slots`; 0: as many as before. NULL when
 * memory is out. */
struct change *change_new(size_t n_slots);

/* What was not taken by a worker: closes its sockets. Accepts NULL; returns NULL. */
struct change *change_free(struct change *change);

/* New connections are served as `service` says, of which a reference is taken. With `is_elsewhere`
 * the endpoints that are known are no longer its own. */
int change_serve(struct change *change, struct service *service, bool is_elsewhere);

/* What was kept of all services for connections to come, tickets and sessions, is given up. */
int change_refresh(struct change *change);

/* A service is gone: its connections run on, who waits for its endpoints is turned away. Its doors
 * must have been closed, or moved. */
int change_remove(struct change *change, size_t service_id);

/* What is to happen to the callers who come while a listening socket is closed. */
enum change_queue {
    CHANGE_QUEUE_OURS,   /* whoever waits is let in, and nobody can come any more */
    CHANGE_QUEUE_SHARED, /* whoever waits is let in; another process may serve who comes then */
    CHANGE_QUEUE_LENT,   /* the socket outlives us: whoever waits is left to the next process */
};

/* A listening socket for a service; `door` is its number from here on. The change owns `fd`, also
 * on failure. */
int change_open(struct change *change, size_t service_id, uint64_t door, int fd,
                enum change_queue queue);

/* A door leads to another service now. */
int change_move(struct change *change, size_t service_id, uint64_t door);

/* A door is closed, after those who wait before it were let in. */
int change_close(struct change *change, uint64_t door);

/* A service's endpoints are now these, of which a reference is taken. New connections use them, and
 * those that wait for them; running ones go on. */
int change_resolve(struct change *change, size_t service_id, struct endpoints *endpoints);

/* Takes a retirement over, also on failure. */
int change_retire(struct change *change, struct retirement *retirement);

/* A change is sent by mail. */
struct letter *change_letter(struct change *change);
struct change *change_of(struct letter *letter);

struct worker;

/* Takes the steps, in the worker's thread, and frees the change. */
void change_apply(struct change *change, struct worker *worker);
