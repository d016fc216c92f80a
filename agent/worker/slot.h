/* A service's place in a worker: what it is now, and who waits to learn where its backends are. */
#pragma once

#include "base/list.h"
#include "worker/endpoints.h"
#include "worker/service.h"

struct slot {
    struct service *service;     /* a reference; NULL: not served */
    struct endpoints *endpoints; /* a reference; NULL: not known yet */
    struct list waiting;         /* sessions that wait for them */
};

/* Makes an empty slot. NULL when memory is out. */
struct slot *slot_new(void);

/* Nobody may wait in it any more. Accepts NULL; returns NULL. */
struct slot *slot_free(struct slot *slot);
