#include "worker/watch.h"

#include "net/socket.h"

#include <stdlib.h>
#include <unistd.h>

struct watch {
    uv_poll_t poll; /* first: libuv hands back a pointer to it */
    int fd;
    unsigned wanted;
    watch_ready *ready;
    void *ctx;
};

struct watch *watch_open(uv_loop_t *loop, int fd, watch_ready *ready, void *ctx)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL || uv_poll_init(loop, &watch->poll, fd) < 0) {
        free(watch);
        socket_abort_on_close(fd); /* whoever is there must not take it for an orderly end */
        close(fd);
        return NULL;
    }
    watch->fd = fd;
    watch->ready = ready;
    watch->ctx = ctx;
    return watch;
}

void watch_hand_over(struct watch *watch, watch_ready *ready, void *ctx)
{
    watch->ready = ready;
    watch->ctx = ctx;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = (struct watch *)poll;
    unsigned wanted = watch->wanted;
    if (status < 0) {
        watch->wanted = 0; /* libuv has stopped polling a descriptor with an error */
        watch->ready(watch->ctx, wanted);
        return;
    }
    unsigned told = ((events & UV_READABLE) != 0 ? WATCH_READ : 0) |
                    ((events & UV_WRITABLE) != 0 ? WATCH_WRITE : 0) |
                    ((events & UV_DISCONNECT) != 0 ? WATCH_HANGUP : 0);
    watch->ready(watch->ctx, told & wanted);
}

void watch_want(struct watch *watch, unsigned events)
{
    if (events == watch->wanted) {
        return;
    }
    watch->wanted = events;
    if (events == 0) {
        uv_poll_stop(&watch->poll);
        return;
    }
    uv_poll_start(&watch->poll,
                  ((events & WATCH_READ) != 0 ? UV_READABLE : 0) |
                      ((events & WATCH_WRITE) != 0 ? UV_WRITABLE : 0) |
                      ((events & WATCH_HANGUP) != 0 ? UV_DISCONNECT : 0),
                  on_poll);
}

int watch_fd(const struct watch *watch)
{
    return watch->fd;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

struct watch *watch_close(struct watch *watch)
{
    if (watch != NULL) {
        /* libuv forgets the descriptor here; only the memory has to wait. */
        uv_close((uv_handle_t *)&watch->poll, on_closed);
        close(watch->fd);
    }
    return NULL;
}
