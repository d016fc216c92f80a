#include "probe/turn.h"

#include <stdlib.h>

struct turn {
    uv_timer_t timer; /* first: libuv hands back a pointer to it */
    turn_step *step;
    void *ctx;
};

struct turn *turn_new(uv_loop_t *loop, void *ctx)
{
    struct turn *turn = calloc(1, sizeof(*turn));
    if (turn != NULL) {
        uv_timer_init(loop, &turn->timer);
        turn->ctx = ctx;
    }
    return turn;
}

static void on_timer(uv_timer_t *timer)
{
    struct turn *turn = (struct turn *)timer;
    turn->step(turn->ctx);
}

void turn_take(struct turn *turn, turn_step *step)
{
    turn->step = step;
    uv_timer_start(&turn->timer, on_timer, 0, 0);
}

static void on_closed(uv_handle_t *timer)
{
    free(timer);
}

struct turn *turn_free(struct turn *turn)
{
    if (turn != NULL) {
        uv_close((uv_handle_t *)&turn->timer, on_closed);
    }
    return NULL;
}
