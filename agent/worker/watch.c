#include "worker/watch.h"

#include "net/socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Events taken at a time. */
#define EVENTS_MAX 256

/* One for each loop, found by the loop's `data`; lives as long as the loop has watches, or is run
 * by watch_run_loop(). */
struct set {
    uv_loop_t *loop;
    int fd;
    bool drives;     /* watch_run_loop() waits in it; else libuv does, by `inner` */
    uv_poll_t inner; /* counts for the loop while something is wanted */
    unsigned n_watches, n_wanting;
    bool is_telling;
    struct watch *closed; /* while telling: an event for them may be among those taken */
};

struct watch {
    struct set *set;
    struct watch *next; /* in set->closed */
    int fd;
    bool is_armed;          /* the kernel knows the descriptor, */
    unsigned armed, wanted; /* and these events of it, at least what is wanted */
    watch_ready *ready;     /* NULL: closed */
    void *ctx;
};

/* ---- the set ---- */

static void free_closed(struct set *set)
{
    while (set->closed != NULL) {
        struct watch *watch = set->closed;
        set->closed = watch->next;
        free(watch);
    }
}

static void on_inner_closed(uv_handle_t *handle)
{
    struct set *set = handle->data;
    close(set->fd);
    free(set);
}

static void free_set(struct set *set)
{
    set->loop->data = NULL;
    if (set->drives) {
        close(set->fd);
        free(set);
    } else {
        uv_close((uv_handle_t *)&set->inner, on_inner_closed);
    }
}

/* The kernel's words for what is wanted. */
static uint32_t epoll_of(unsigned wanted)
{
    return ((wanted & WATCH_READ) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((wanted & WATCH_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0) |
           ((wanted & WATCH_HANGUP) != 0 ? (uint32_t)EPOLLRDHUP : 0);
}

static void disarm(struct watch *watch)
{
    if (watch->is_armed) {
        (void)epoll_ctl(watch->set->fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->is_armed = false;
        watch->armed = 0;
    }
}

static void arm(struct watch *watch)
{
    struct epoll_event event = {.events = epoll_of(watch->wanted), .data.ptr = watch};
    int what = watch->is_armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (watch->wanted == 0) {
        disarm(watch);
    } else if (epoll_ctl(watch->set->fd, what, watch->fd, &event) == 0) {
        watch->is_armed = true;
        watch->armed = watch->wanted;
    }
}

/* Counts those that keep the loop alive. */
static void set_wanted(struct watch *watch, unsigned events)
{
    struct set *set = watch->set;
    set->n_wanting += (events != 0) - (watch->wanted != 0);
    watch->wanted = events;
    if (set->drives) {
        return;
    }
    if (set->n_wanting > 0) {
        uv_ref((uv_handle_t *)&set->inner);
    } else {
        uv_unref((uv_handle_t *)&set->inner);
    }
}

static void tell(struct watch *watch, uint32_t events)
{
    unsigned told = ((events & EPOLLIN) != 0 ? WATCH_READ : 0) |
                    ((events & EPOLLOUT) != 0 ? WATCH_WRITE : 0) |
                    ((events & EPOLLRDHUP) != 0 ? WATCH_HANGUP : 0);
    unsigned wanted = watch->wanted;
    if (watch->ready == NULL) {
        return;
    }
    if ((events & EPOLLERR) != 0) {
        set_wanted(watch, 0); /* it would be told for ever */
        disarm(watch);
        told = wanted;
    } else if ((events & EPOLLHUP) != 0) {
        told = wanted;
    }
    if ((told & wanted) != 0) {
        watch->ready(watch->ctx, told & wanted);
    } else {
        arm(watch); /* this is what less was wanted for */
    }
}

/* Waits for at most `timeout_ms`, -1 for ever, and tells the owners. True when the set itself has
 * something, which is libuv's descriptor. */
static bool turn(struct set *set, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(set->fd, events, EVENTS_MAX, timeout_ms);
    bool is_libuv = false;
    if (set->drives) {
        uv_update_time(set->loop);
    }
    set->is_telling = true;
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == set) {
            is_libuv = true;
        } else {
            tell(events[i].data.ptr, events[i].events);
        }
    }
    set->is_telling = false;
    free_closed(set);
    return is_libuv;
}

static void on_inner(uv_poll_t *inner, int status, int events)
{
    struct set *set = inner->data;
    (void)status, (void)events;
    turn(set, 0);
    if (set->n_watches == 0) {
        free_set(set);
    }
}

static struct set *make_set(uv_loop_t *loop)
{
    struct set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    set->loop = loop;
    set->fd = epoll_create1(EPOLL_CLOEXEC);
    if (set->fd < 0) {
        free(set);
        return NULL;
    }
    loop->data = set;
    return set;
}

/* The loop's set, which is made when there is none. */
static struct set *set_of(uv_loop_t *loop)
{
    struct set *set = loop->data != NULL ? loop->data : make_set(loop);
    if (set == NULL || set->drives || set->inner.data != NULL) {
        return set;
    }
    if (uv_poll_init(loop, &set->inner, set->fd) < 0) {
        set->drives = true; /* there is no handle to be closed */
        free_set(set);
        return NULL;
    }
    set->inner.data = set;
    uv_poll_start(&set->inner, UV_READABLE, on_inner);
    uv_unref((uv_handle_t *)&set->inner);
    return set;
}

int watch_prepare_loop(uv_loop_t *loop)
{
    struct set *set = make_set(loop);
    if (set == NULL) {
        return -1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = set};
    set->drives = true;
    if (epoll_ctl(set->fd, EPOLL_CTL_ADD, uv_backend_fd(loop), &event) < 0) {
        int error = errno;
        free_set(set);
        errno = error;
        return -1;
    }
    return 0;
}

void watch_run_loop(uv_loop_t *loop)
{
    struct set *set = loop->data;
    while (set->n_wanting > 0 || uv_loop_alive(loop)) {
        bool is_libuv = turn(set, uv_backend_timeout(loop));
        if (is_libuv || uv_backend_timeout(loop) == 0) {
            uv_run(loop, UV_RUN_NOWAIT);
        }
    }
    free_set(set);
}

/* ---- one descriptor ---- */

/* Whoever is there must not take it for an orderly end. */
static void abandon(int fd)
{
    socket_abort_on_close(fd);
    close(fd);
}

struct watch *watch_open(uv_loop_t *loop, int fd, watch_ready *ready, void *ctx)
{
    struct set *set = set_of(loop);
    struct watch *watch = set != NULL ? calloc(1, sizeof(*watch)) : NULL;
    if (watch == NULL) {
        if (set != NULL && set->n_watches == 0 && !set->drives && !set->is_telling) {
            free_set(set);
        }
        abandon(fd);
        return NULL;
    }
    watch->set = set;
    watch->fd = fd;
    watch->ready = ready;
    watch->ctx = ctx;
    set->n_watches++;
    return watch;
}

void watch_hand_over(struct watch *watch, watch_ready *ready, void *ctx)
{
    watch->ready = ready;
    watch->ctx = ctx;
}

void watch_want(struct watch *watch, unsigned events)
{
    if (events == watch->wanted) {
        return;
    }
    set_wanted(watch, events);
    if ((events & ~watch->armed) != 0) {
        arm(watch);
    }
}

int watch_fd(const struct watch *watch)
{
    return watch->fd;
}

/* The descriptor may be open elsewhere, so that closing it here would not end its events. */
struct watch *watch_close(struct watch *watch)
{
    if (watch == NULL) {
        return NULL;
    }
    struct set *set = watch->set;
    set_wanted(watch, 0);
    disarm(watch);
    close(watch->fd);
    set->n_watches--;
    if (set->is_telling) {
        watch->ready = NULL;
        watch->next = set->closed;
        set->closed = watch;
        return NULL;
    }
    free(watch);
    if (set->n_watches == 0 && !set->drives) {
        free_set(set);
    }
    return NULL;
}
