/* How many hold an object that threads share. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct refs {
    _Atomic(unsigned) held;
};

/* The maker's own reference. */
static inline void refs_init(struct refs *refs)
{
    atomic_init(&refs->held, 1);
}

static inline void refs_take(struct refs *refs)
{
    atomic_fetch_add_explicit(&refs->held, 1, memory_order_relaxed);
}

/* Gives a reference back. True when it was the last: the object is to be freed, and what every
 * other holder did with it has happened before. */
static inline bool refs_drop(struct refs *refs)
{
    return atomic_fetch_sub_explicit(&refs->held, 1, memory_order_acq_rel) == 1;
}
