/* A listening socket of the status endpoint: lets in whoever comes, as far as there is room. */
#pragma once

#include "base/addr.h"
#include "base/list.h"

#include <stdbool.h>

#include <uv.h>

struct gate_events {
    /* Asked before each guest. False: they have to wait outside for a moment. */
    bool (*has_room)(void *ctx);
    /* Brings a guest, a connected non-blocking socket, which is the receiver's from here on. */
    void (*let_in)(void *ctx, int fd, const struct addr *addr, bool is_local_socket);
    /* After those that came at once. */
    void (*done)(void *ctx);
};

struct gate {
    struct list link; /* the owner's */
    struct watch *watch;
    struct deadline *pause;
    const struct gate_events *events;
    void *ctx;
    bool is_local_socket;
};

/* Opens a gate on a non-blocking listening socket, which it owns from here on, also on failure.
 * NULL when memory is out. */
struct gate *gate_open(uv_loop_t *loop, int fd, bool is_local_socket,
                       const struct gate_events *events, void *ctx);

/* Takes it out of the owner's list, too. Accepts NULL; returns NULL. */
struct gate *gate_close(struct gate *gate);
