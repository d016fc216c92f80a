/* A second hand for a loop: a thread that does one thing at a time while the loop goes on, and is
 * nicer than the loop's: where they share a processor, the loop comes first. All functions are for
 * the loop's thread. */
#pragma once

#include <uv.h>

struct hand;

/* Makes the thread, which waits until it is wanted; `done` is called on the loop whenever it has
 * done something, with `ctx`. Returns NULL, with errno set, when there cannot be one. */
struct hand *hand_new(uv_loop_t *loop, void (*done)(void *ctx), void *ctx);

/* Has it call `work` with `work_ctx`. Before the next thing `done` must have been called. Until
 * then the loop is kept alive. */
void hand_do(struct hand *hand, void (*work)(void *ctx), void *work_ctx);

/* Ends the thread, and waits for what it has begun, of which `done` does not tell; what it has not
 * begun is not done. Accepts NULL; returns NULL. */
struct hand *hand_free(struct hand *hand);
