#include "worker/endpoints.h"

#include <stdlib.h>

struct endpoints *endpoints_new(size_t n)
{
    struct endpoints *endpoints = calloc(1, sizeof(*endpoints) + n * sizeof(endpoints->list[0]));
    if (endpoints != NULL) {
        refs_init(&endpoints->refs);
        endpoints->n = n;
    }
    return endpoints;
}

struct endpoints *endpoints_ref(struct endpoints *endpoints)
{
    refs_take(&endpoints->refs);
    return endpoints;
}

struct endpoints *endpoints_unref(struct endpoints *endpoints)
{
    if (endpoints == NULL || !refs_drop(&endpoints->refs)) {
        return NULL;
    }
    for (size_t i = 0; i < endpoints->n; i++) {
        name_release(&endpoints->list[i].host);
    }
    free(endpoints->detail);
    free(endpoints);
    return NULL;
}
