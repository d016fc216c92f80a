/* A service's place in a worker: what it is now, and who waits to learn where its backends are. */
#pragma once

#include "base/list.h"
#include "worker/endpoints.h"
#include "worker/service.h"

struct slot {
    struct service *service;     /* a reference; NULL: not served */
    struct endpoints *endpoints; /* a reference; NULL: not known yet */
    struct list waiting;         /* sessions that wait for them */
    struct tickets *tickets;     /* owned; of `service`; NULL: memory was out */
    struct warm *warm;           /* owned; of `service`; NULL: no session is kept ready */
};

struct worker;

/* Makes an empty slot. NULL when memory is out. */
struct slot *slot_new(void);

/* From now on it is this service, of which a reference is taken over. Nothing of what was before
 * serves it. */
void slot_serve(struct slot *slot, struct worker *worker, struct service *service);

/* From now on these are its endpoints, of which a reference is taken over; NULL: not known. */
void slot_resolve(struct slot *slot, struct endpoints *endpoints);

/* Forgets tickets and closes sessions that were kept ready; new ones are made. */
void slot_refresh(struct slot *slot, struct worker *worker);

/* Forgets what has grown too old to be of use. */
void slot_sweep(struct slot *slot);

/* Gives up the sessions that are kept ready; none are made until slot_serve() or slot_refresh(). */
void slot_close(struct slot *slot);

/* Nobody may wait in it any more. Accepts NULL; returns NULL. */
struct slot *slot_free(struct slot *slot);
