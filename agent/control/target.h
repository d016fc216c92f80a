/* What one service points to: its `address` entries, put together to the endpoints that a worker
 * tries in order. */
#pragma once

#include "config/config.h"
#include "control/host.h"
#include "worker/endpoints.h"

#define TARGET_ENDPOINTS_MAX 64

struct target {
    size_t id; /* the service's */
    const struct config_service *service;
    const struct host **hosts;   /* one for each address; NULL where that is an IP literal; owned */
    struct endpoints *endpoints; /* what was put together last; NULL: nothing yet */
};

/* Returns -1 when memory is out; to be released in either case. */
int target_init(struct target *target, size_t id, const struct config_service *service);

/* Puts the endpoints together anew: the addresses in the order of the entries, as far as their
 * hosts are known; none, with a detail, only when every host has failed. Returns a reference to
 * them when they are others than before. NULL: nothing is new, or nothing known yet, or memory is
 * out. */
struct endpoints *target_update(struct target *target);

/* How long ago the oldest of its names was confirmed last, in milliseconds; -1: it has no name, or
 * one without an answer. */
int64_t target_age_ms(const struct target *target);

/* Why the last question for one of its names failed; NULL: none did. */
const char *target_failure(const struct target *target);

void target_release(struct target *target);
