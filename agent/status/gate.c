#include "status/gate.h"

#include "net/socket.h"
#include "worker/deadline.h"
#include "worker/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Guests let in per event, so that the loop gets to its other work, and each of them to be heard.
 */
#define BATCH 16

/* When descriptors or memory run out, or there is no room. */
#define PAUSE_MS 100

static void pause_gate(struct gate *gate)
{
    watch_want(gate->watch, 0);
    deadline_set(gate->pause, PAUSE_MS);
}

static void on_pause_over(void *ctx)
{
    struct gate *gate = ctx;
    watch_want(gate->watch, WATCH_READ);
}

/* Returns 0 when one was let in, else the errno that stopped it. */
static int let_in_one(struct gate *gate)
{
    struct addr caller;
    int fd = socket_accept(watch_fd(gate->watch), &caller);
    if (fd < 0) {
        return errno;
    }
    gate->events->let_in(gate->ctx, fd, &caller, gate->is_local_socket);
    return 0;
}

static void on_ready(void *ctx, unsigned events)
{
    struct gate *gate = ctx;
    (void)events;
    for (unsigned i = 0; i < BATCH; i++) {
        if (!gate->events->has_room(gate->ctx)) {
            pause_gate(gate);
            break;
        }
        int error = let_in_one(gate);
        if (error != 0) {
            /* What befell one who has gone by now is no reason to wait, but not worth a loop. */
            bool is_passing = socket_would_block(error) || error == ECONNABORTED;
            if (!is_passing) {
                pause_gate(gate);
            }
            break;
        }
    }
    gate->events->done(gate->ctx);
}

struct gate *gate_open(uv_loop_t *loop, int fd, bool is_local_socket,
                       const struct gate_events *events, void *ctx)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL) {
        close(fd);
        return NULL;
    }
    list_init(&gate->link);
    gate->events = events;
    gate->ctx = ctx;
    gate->is_local_socket = is_local_socket;
    gate->watch = watch_open(loop, fd, on_ready, gate);
    gate->pause = deadline_new(loop, on_pause_over, gate);
    if (gate->watch == NULL || gate->pause == NULL) {
        return gate_close(gate);
    }
    watch_want(gate->watch, WATCH_READ);
    return gate;
}

struct gate *gate_close(struct gate *gate)
{
    if (gate != NULL) {
        list_remove(&gate->link);
        watch_close(gate->watch);
        deadline_free(gate->pause);
        free(gate);
    }
    return NULL;
}
