#include "worker/tickets.h"

#include "base/list.h"

#include <stdlib.h>

/* Tickets of one endpoint: as many callers may come at once without one of them paying for a whole
 * handshake. */
#define TICKETS_MAX 32

struct tickets {
    const struct service *service;
    struct list origins;
};

struct origin {
    struct list link; /* in tickets->origins */
    struct addr addr;
    struct name host; /* owned */
    struct resumption *resumption;
};

struct tickets *tickets_new(const struct service *service)
{
    struct tickets *tickets = calloc(1, sizeof(*tickets));
    if (tickets != NULL) {
        tickets->service = service;
        list_init(&tickets->origins);
    }
    return tickets;
}

static void forget(struct origin *origin)
{
    list_remove(&origin->link);
    if (origin->resumption != NULL) {
        resumption_end(origin->resumption);
    }
    resumption_unref(origin->resumption);
    name_release(&origin->host);
    free(origin);
}

struct tickets *tickets_free(struct tickets *tickets)
{
    if (tickets != NULL) {
        LIST_EACH_SAFE (link, &tickets->origins) {
            forget(list_item(link, struct origin, link));
        }
        free(tickets);
    }
    return NULL;
}

static bool is_at(const struct origin *origin, const struct endpoint *endpoint)
{
    return addr_equal(&origin->addr, &endpoint->addr) && name_equal(&origin->host, &endpoint->host);
}

static struct origin *find(const struct tickets *tickets, const struct endpoint *endpoint)
{
    LIST_EACH (link, &tickets->origins) {
        struct origin *origin = list_item(link, struct origin, link);
        if (is_at(origin, endpoint)) {
            return origin;
        }
    }
    return NULL;
}

static struct origin *add(struct tickets *tickets, const struct endpoint *endpoint)
{
    const struct service *service = tickets->service;
    struct origin *origin = calloc(1, sizeof(*origin));
    if (origin == NULL) {
        return NULL;
    }
    list_append(&tickets->origins, &origin->link);
    origin->addr = endpoint->addr;
    if (name_copy(&endpoint->host, &origin->host) == 0) {
        origin->resumption = resumption_new(service->profile, &endpoint->host,
                                            service->session_reuse ? TICKETS_MAX : 0);
    }
    if (origin->resumption == NULL) {
        forget(origin);
        return NULL;
    }
    return origin;
}

struct resumption *tickets_of(struct tickets *tickets, const struct endpoint *endpoint)
{
    struct origin *origin = find(tickets, endpoint);
    if (origin == NULL) {
        origin = add(tickets, endpoint);
    }
    return origin != NULL ? origin->resumption : NULL;
}

void tickets_expire(struct tickets *tickets)
{
    LIST_EACH (link, &tickets->origins) {
        resumption_expire(list_item(link, struct origin, link)->resumption);
    }
}

void tickets_restrict(struct tickets *tickets, const struct endpoints *endpoints)
{
    LIST_EACH_SAFE (link, &tickets->origins) {
        struct origin *origin = list_item(link, struct origin, link);
        if (!endpoints_have(endpoints, &origin->addr, &origin->host)) {
            forget(origin);
        }
    }
}
