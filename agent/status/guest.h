/* A connection to the status endpoint. */
#pragma once

#include "base/list.h"
#include "status/reply.h"

#include <stdbool.h>
#include <stdint.h>

/* So long nobody has to go, however many wait outside: time for those to be heard who ask at once.
 */
#define GUEST_WELCOME_MS 100

#define GUEST_NEVER UINT64_MAX

struct server_request;

struct guest {
    struct list link; /* among all guests, in the order of arrival */
    int fd;           /* not owned */
    bool is_local_socket;
    uint64_t came_ms, leave_ms; /* times of clock_ms() */
    uint64_t body_len;          /* of the request, so far */
    bool is_heard;              /* the request's header is here */
    bool is_answered;
    struct server_request *request; /* that waits for an answer; NULL: none */
    struct reply reply;             /* to a request that had to wait; its body is owned */
};

/* Makes a guest who has to leave in `patience_ms`. NULL when memory is out. */
struct guest *guest_new(int fd, bool is_local_socket, uint64_t patience_ms);

/* Takes it out of its list, too. Accepts NULL; returns NULL. */
struct guest *guest_free(struct guest *guest);

/* How long it is until the first one has to leave; GUEST_NEVER when there is none. */
uint64_t guest_patience_ms(const struct list *guests, uint64_t now_ms);

/* The one who has to go when there is no room: whoever has been here for longest without having
 * said what he wants; or else without having to wait. NULL: none. */
struct guest *guest_to_leave(const struct list *guests);
