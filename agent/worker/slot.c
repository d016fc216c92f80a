#include "worker/slot.h"

#include "worker/tickets.h"
#include "worker/warm.h"

#include <stdlib.h>

struct slot *slot_new(void)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    if (slot != NULL) {
        list_init(&slot->waiting);
    }
    return slot;
}

static void forget(struct slot *slot)
{
    slot->warm = warm_free(slot->warm);
    slot->tickets = tickets_free(slot->tickets);
}

void slot_refresh(struct slot *slot, struct worker *worker)
{
    forget(slot);
    slot->tickets = tickets_new(slot->service);
    if (warm_is_wanted(slot->service)) {
        slot->warm = warm_new(worker, slot->service);
    }
    if (slot->warm != NULL && slot->endpoints != NULL) {
        warm_resolve(slot->warm, slot->endpoints);
    }
}

void slot_serve(struct slot *slot, struct worker *worker, struct service *service)
{
    forget(slot);
    service_unref(slot->service);
    slot->service = service;
    slot_refresh(slot, worker);
}

void slot_resolve(struct slot *slot, struct endpoints *endpoints)
{
    endpoints_unref(slot->endpoints);
    slot->endpoints = endpoints;
    if (endpoints == NULL) {
        return;
    }
    if (slot->tickets != NULL) {
        tickets_restrict(slot->tickets, endpoints);
    }
    if (slot->warm != NULL) {
        warm_resolve(slot->warm, endpoints);
    }
}

void slot_sweep(struct slot *slot)
{
    if (slot->tickets != NULL) {
        tickets_expire(slot->tickets);
    }
}

void slot_close(struct slot *slot)
{
    slot->warm = warm_free(slot->warm);
}

struct slot *slot_free(struct slot *slot)
{
    if (slot != NULL) {
        forget(slot);
        service_unref(slot->service);
        endpoints_unref(slot->endpoints);
        free(slot);
    }
    return NULL;
}
