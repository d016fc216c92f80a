#include "worker/service.h"

#include <stdlib.h>
#include <string.h>

struct service *service_new(size_t id, const char *name, struct profile *profile)
{
    struct service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return NULL;
    }
    refs_init(&service->refs);
    atomic_init(&service->open, 0);
    service->id = id;
    service->profile = profile_ref(profile);
    service->name = strdup(name);
    service->connections = tally_new();
    service->attempts = tally_new();
    bool whole = service->name != NULL && service->connections != NULL && service->attempts != NULL;
    return whole ? service : service_unref(service);
}

struct service *service_ref(struct service *service)
{
    refs_take(&service->refs);
    return service;
}

struct service *service_unref(struct service *service)
{
    if (service == NULL || !refs_drop(&service->refs)) {
        return NULL;
    }
    profile_unref(service->profile);
    tally_free(service->connections);
    tally_free(service->attempts);
    free(service->name);
    free(service);
    return NULL;
}

bool service_enter(struct service *service)
{
    uint64_t open = atomic_load_explicit(&service->open, memory_order_relaxed);
    while (open < service->max_connections) {
        if (atomic_compare_exchange_weak_explicit(&service->open, &open, open + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void service_leave(struct service *service)
{
    atomic_fetch_sub_explicit(&service->open, 1, memory_order_relaxed);
}
