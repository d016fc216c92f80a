/* The next step of something that goes on step by step, each on a turn of the event loop of its
 * own: what a callback leads to is done when the callback is over. */
#pragma once

#include <uv.h>

/* May free the turn that takes it. */
typedef void turn_step(void *ctx);

struct turn;

/* Returns NULL when memory is out. */
struct turn *turn_new(uv_loop_t *loop, void *ctx);

/* Has `step` taken on the loop's next turn, instead of one that was to be taken then. */
void turn_take(struct turn *turn, turn_step *step);

/* No step is taken any more. The loop must turn once more for the memory to be freed. Accepts NULL;
 * returns NULL. */
struct turn *turn_free(struct turn *turn);
