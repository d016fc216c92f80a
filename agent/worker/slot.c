#include "worker/slot.h"

#include <stdlib.h>

struct slot *slot_new(void)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    if (slot != NULL) {
        list_init(&slot->waiting);
    }
    return slot;
}

struct slot *slot_free(struct slot *slot)
{
    if (slot != NULL) {
        service_unref(slot->service);
        endpoints_unref(slot->endpoints);
        free(slot);
    }
    return NULL;
}
