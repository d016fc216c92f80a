/* What a worker knows of a service: immutable, shared by reference count, but for the count of open
 * connections and the tallies. */
#pragma once

#include "base/refs.h"
#include "tls/profile.h"
#include "worker/tally.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service {
    struct refs refs;
    size_t id;               /* the service's place in every worker's table */
    char *name;              /* owned */
    struct profile *profile; /* a reference */

    uint64_t connect_timeout_ms, handshake_timeout_ms, close_timeout_ms;
    uint64_t idle_timeout_ms, max_lifetime_ms; /* 0: off */

    uint64_t max_connections;
    bool truncation_is_eof;

    _Atomic(uint64_t) open;    /* connections now, over all workers */
    struct tally *connections; /* owned: how connections ended */
    struct tally *attempts;    /* owned: why attempts failed */
};

/* Makes a service with all else zero or empty, and one reference. `profile` is referenced. NULL
 * when memory is out. */
struct service *service_new(size_t id, const char *name, struct profile *profile);

struct service *service_ref(struct service *service);
struct service *service_unref(struct service *service); /* accepts NULL; returns NULL */

/* Takes one of the service's max_connections places, over all workers. False when all are taken:
 * nothing is counted then, so a caller that is refused is in nobody's way. */
bool service_enter(struct service *service);

/* Gives a place back that service_enter() took. */
void service_leave(struct service *service);
