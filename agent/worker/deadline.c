#include "worker/deadline.h"

#include <stdbool.h>
#include <stdlib.h>

/* What is so late was kept from happening. */
#define LATE_MS 100

struct deadline {
    uv_timer_t timer; /* first: libuv hands back a pointer to it */
    deadline_passed *passed;
    void *ctx;
    uint64_t due_ms;
    bool was_late;
};

struct deadline *deadline_new(uv_loop_t *loop, deadline_passed *passed, void *ctx)
{
    struct deadline *deadline = calloc(1, sizeof(*deadline));
    if (deadline == NULL) {
        return NULL;
    }
    uv_timer_init(loop, &deadline->timer);
    deadline->passed = passed;
    deadline->ctx = ctx;
    return deadline;
}

/* libuv looks at timers before it looks at sockets. When the process was stopped, or a turn took
 * long, what came in time lies there unread: it is given one turn. */
static void on_timer(uv_timer_t *timer)
{
    struct deadline *deadline = (struct deadline *)timer;
    if (!deadline->was_late && uv_now(timer->loop) - deadline->due_ms >= LATE_MS) {
        deadline->was_late = true;
        uv_timer_start(timer, on_timer, 1, 0); /* with 0 it would not wait for the turn */
        return;
    }
    deadline->passed(deadline->ctx);
}

void deadline_set(struct deadline *deadline, uint64_t ms)
{
    /* libuv counts from the start of the loop's turn, which a long one makes too early, and in
     * whole milliseconds, of which the first has partly passed. */
    uv_update_time(deadline->timer.loop);
    deadline->due_ms = uv_now(deadline->timer.loop) + ms + 1;
    deadline->was_late = false;
    uv_timer_start(&deadline->timer, on_timer, ms + 1, 0);
}

void deadline_clear(struct deadline *deadline)
{
    uv_timer_stop(&deadline->timer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

struct deadline *deadline_free(struct deadline *deadline)
{
    if (deadline != NULL) {
        uv_close((uv_handle_t *)&deadline->timer, on_closed);
    }
    return NULL;
}
