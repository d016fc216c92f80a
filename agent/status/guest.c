#include "status/guest.h"

#include "base/clock.h"

#include <stdlib.h>

struct guest *guest_new(int fd, bool is_local_socket, uint64_t patience_ms)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    if (guest == NULL) {
        return NULL;
    }
    list_init(&guest->link);
    guest->fd = fd;
    guest->is_local_socket = is_local_socket;
    guest->came_ms = clock_ms();
    guest->leave_ms = guest->came_ms + patience_ms;
    return guest;
}

struct guest *guest_free(struct guest *guest)
{
    if (guest != NULL) {
        list_remove(&guest->link);
        free(guest->reply.body);
        free(guest);
    }
    return NULL;
}

uint64_t guest_patience_ms(const struct list *guests, uint64_t now_ms)
{
    uint64_t least_ms = GUEST_NEVER;
    LIST_EACH (link, guests) {
        uint64_t leave_ms = list_item(link, struct guest, link)->leave_ms;
        uint64_t left_ms = leave_ms > now_ms ? leave_ms - now_ms : 0;
        least_ms = left_ms < least_ms ? left_ms : least_ms;
    }
    return least_ms;
}

struct guest *guest_to_leave(const struct list *guests)
{
    struct guest *answered = NULL;
    LIST_EACH (link, guests) {
        struct guest *guest = list_item(link, struct guest, link);
        if (guest->request != NULL) {
            continue;
        }
        if (!guest->is_answered) {
            return guest;
        }
        answered = answered == NULL ? guest : answered;
    }
    return answered;
}
