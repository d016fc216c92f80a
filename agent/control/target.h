/* What one service points to: its `address` entries, put together to the endpoints that a worker
 * tries in order. */
#pragma once

#include "config/config.h"
#include "control/host.h"
#include "worker/endpoints.h"

#define TARGET_ENDPOINTS_MAX 64

struct target {
    const struct config_service *service;
    const struct host **hosts;   /* one for each address; NULL where that is an IP literal; owned */
    struct endpoints *endpoints; /* what was put together last; NULL: nothing yet */
};

/* Returns -1 when memory is out. */
int target_init(struct target *target, const struct config_service *service);

/* Puts the endpoints together anew: the addresses in the order of the entries, as far as their
 * hosts are known; none, with a detail, only when every host has failed. Returns a reference to
 * them when they are others than before. NULL: nothing is new, or nothing known yet, or memory is
 * out. */
struct endpoints *target_update(struct target *target);

void target_release(struct target *target);
