/* What a worker knows of a service: immutable, shared by reference count. A reload makes another
 * one of the same id and account; a connection keeps the one that it began with. */
#pragma once

#include "base/refs.h"
#include "tls/profile.h"
#include "worker/account.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service {
    struct refs refs;
    size_t id;               /* the service's place in every worker's table */
    const char *name;        /* the account's */
    struct profile *profile; /* a reference */
    struct account *account; /* a reference */

    uint64_t connect_timeout_ms, handshake_timeout_ms, close_timeout_ms;
    uint64_t idle_timeout_ms, max_lifetime_ms; /* 0: off */

    uint64_t max_connections;
    bool truncation_is_eof;

    bool session_reuse;
    unsigned prewarm;  /* sessions kept ready, by each worker */
    bool prewarm_auto; /* as many as the callers need, instead */
    uint64_t prewarm_max_age_ms;
};

/* Makes a service with all else zero, and one reference. `profile` and `account` are referenced.
 * NULL when memory is out. */
struct service *service_new(size_t id, struct profile *profile, struct account *account);

struct service *service_ref(struct service *service);
struct service *service_unref(struct service *service); /* accepts NULL; returns NULL */
