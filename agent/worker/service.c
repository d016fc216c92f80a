#include "worker/service.h"

#include <stdlib.h>
#include <string.h>

struct service *service_new(size_t id, const char *name, struct profile *profile)
{
    struct service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return NULL;
    }
    atomic_init(&service->refs, 1);
    atomic_init(&service->open, 0);
    service->id = id;
    service->profile = profile_ref(profile);
    service->name = strdup(name);
    return service->name != NULL ? service : service_unref(service);
}

struct service *service_ref(struct service *service)
{
    atomic_fetch_add_explicit(&service->refs, 1, memory_order_relaxed);
    return service;
}

struct service *service_unref(struct service *service)
{
    if (service == NULL || atomic_fetch_sub_explicit(&service->refs, 1, memory_order_acq_rel) > 1) {
        return NULL;
    }
    profile_unref(service->profile);
    free(service->name);
    free(service);
    return NULL;
}
