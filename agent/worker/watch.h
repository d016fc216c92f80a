/* A descriptor in an event loop: tells its owner when it is ready, and owns the descriptor.
 * Level-triggered: what was not read is told again.
 *
 * The descriptors of a loop share an epoll set of their own beside libuv's: uv_poll_t costs two
 * system calls for each change of what is wanted, the first of which fails, and four for each new
 * descriptor. Here a change costs one, and none when less is wanted than before. The set is found
 * by the loop's `data`, which is NULL before, and not for anything else. */
#pragma once

#include <uv.h>

enum {
    WATCH_READ = 1,
    WATCH_WRITE = 2,
    WATCH_HANGUP = 4, /* the peer has finished or is gone; without reading */
};

/* An error on the descriptor is told as all that is wanted at once, and nothing is wanted any more:
 * the next operation finds it. */
typedef void watch_ready(void *ctx, unsigned events);

struct watch;

/* Watches `fd` for nothing yet. Owns it from here on, also on failure, when this returns NULL,
 * with errno set. */
struct watch *watch_open(uv_loop_t *loop, int fd, watch_ready *ready, void *ctx);

/* Gives the watch to another owner, who is told from here on. */
void watch_hand_over(struct watch *watch, watch_ready *ready, void *ctx);

/* Sets what to be told of; 0 for nothing. When the kernel does not take it, for want of memory or
 * of watches, all that is wanted is told in the next turn, as after an error; an owner whose
 * operation would have to wait then must want it anew, or is not told again. */
void watch_want(struct watch *watch, unsigned events);

int watch_fd(const struct watch *watch);

/* Closes the descriptor; the owner is not told of anything again. Accepts NULL; returns NULL. */
struct watch *watch_close(struct watch *watch);

/* Runs a loop as uv_run() with UV_RUN_DEFAULT does, but waits in the set of the descriptors, of
 * which libuv's is one: a turn that only moves bytes is a single epoll_wait. All watches must have
 * been closed by its end. watch_prepare_loop() is to be called before; it returns -1, with errno
 * set, when there cannot be a set. Else only watch_run_loop() releases what it made. */
int watch_prepare_loop(uv_loop_t *loop);
void watch_run_loop(uv_loop_t *loop);
