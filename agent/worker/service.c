#include "worker/service.h"

#include <stdlib.h>

struct service *service_new(size_t id, struct profile *profile, struct account *account)
{
    struct service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return NULL;
    }
    refs_init(&service->refs);
    service->id = id;
    service->profile = profile_ref(profile);
    service->account = account_ref(account);
    service->name = account->name;
    return service;
}

struct service *service_ref(struct service *service)
{
    refs_take(&service->refs);
    return service;
}

struct service *service_unref(struct service *service)
{
    if (service != NULL && refs_drop(&service->refs)) {
        profile_unref(service->profile);
        account_unref(service->account);
        free(service);
    }
    return NULL;
}
