/* Where a service's backends are now: the result of resolving all of its addresses, in the order in
 * which to try them. Immutable, shared by reference count. */
#pragma once

#include "base/addr.h"
#include "base/name.h"
#include "base/refs.h"

#include <stdbool.h>
#include <stddef.h>

struct endpoint {
    struct addr addr;
    struct name host; /* what `address` called it: for SNI and verification; owned */
};

struct endpoints {
    struct refs refs;
    char *detail; /* with n == 0: what DNS said, for the log; owned, may be NULL */
    size_t n;     /* 0: resolving failed (`dns_failed`) and there is no earlier answer */
    struct endpoint list[];
};

/* Makes `n` zeroed endpoints with one reference, to be filled by the caller before they are shared.
 * NULL when memory is out. */
struct endpoints *endpoints_new(size_t n);

/* True when one of them has this address and host. */
bool endpoints_have(const struct endpoints *endpoints, const struct addr *addr,
                    const struct name *host);

/* True when both are the same, in whatever order: many a DNS server turns it with every answer. */
bool endpoints_match(const struct endpoints *a, const struct endpoints *b);

struct endpoints *endpoints_ref(struct endpoints *endpoints);
struct endpoints *endpoints_unref(struct endpoints *endpoints); /* accepts NULL; returns NULL */
