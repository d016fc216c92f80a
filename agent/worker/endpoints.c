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

bool endpoints_have(const struct endpoints *endpoints, const struct addr *addr,
                    const struct name *host)
{
    for (size_t i = 0; i < endpoints->n; i++) {
        const struct endpoint *endpoint = &endpoints->list[i];
        if (addr_equal(&endpoint->addr, addr) && name_equal(&endpoint->host, host)) {
            return true;
        }
    }
    return false;
}

bool endpoints_match(const struct endpoints *a, const struct endpoints *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (!endpoints_have(a, &b->list[i].addr, &b->list[i].host)) {
            return false;
        }
    }
    return a->n == b->n;
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
