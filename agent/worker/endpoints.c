#include "worker/endpoints.h"

#include <stdlib.h>

struct endpoints *endpoints_new(size_t n)
{
    struct endpoints *endpoints = calloc(1, sizeof(*endpoints) + n * sizeof(endpoints->list[0]));
    if (endpoints != NULL) {
        atomic_init(&endpoints->refs, 1);
        endpoints->n = n;
    }
    return endpoints;
}

struct endpoints *endpoints_ref(struct endpoints *endpoints)
{
    atomic_fetch_add_explicit(&endpoints->refs, 1, memory_order_relaxed);
    return endpoints;
}

struct endpoints *endpoints_unref(struct endpoints *endpoints)
{
    if (endpoints == NULL ||
        atomic_fetch_sub_explicit(&endpoints->refs, 1, memory_order_acq_rel) > 1) {
        return NULL;
    }
    for (size_t i = 0; i < endpoints->n; i++) {
        name_release(&endpoints->list[i].host);
    }
    free(endpoints->detail);
    free(endpoints);
    return NULL;
}
