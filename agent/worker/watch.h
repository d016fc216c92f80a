/* A descriptor in a worker's event loop: tells its owner when it is ready, and owns the descriptor.
 * Level-triggered: what was not read is told again. */
#pragma once

#include <uv.h>

enum {
    WATCH_READ = 1,
    WATCH_WRITE = 2,
    WATCH_HANGUP = 4, /* the peer has finished or is gone; without reading */
};

/* An error on the descriptor is told as all that is wanted at once: the next operation finds it. */
typedef void watch_ready(void *ctx, unsigned events);

struct watch;

/* Watches `fd` for nothing yet. Owns it from here on, also on failure, when this returns NULL. */
struct watch *watch_open(uv_loop_t *loop, int fd, watch_ready *ready, void *ctx);

/* Gives the watch to another owner, who is told from here on. */
void watch_hand_over(struct watch *watch, watch_ready *ready, void *ctx);

/* Sets what to be told of; 0 for nothing. */
void watch_want(struct watch *watch, unsigned events);

int watch_fd(const struct watch *watch);

/* Closes the descriptor; the owner is not told of anything again. Accepts NULL; returns NULL. */
struct watch *watch_close(struct watch *watch);
