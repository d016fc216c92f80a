#include "worker/watch.h"

#include "base/list.h"
#include "net/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Events taken at a time. */
#define EVENTS_MAX 256

/* Owners whose descriptor the kernel does not take may ask again at once: not without a pause. */
#define RETRY_MS 1

#define NEVER_MS UINT64_MAX

/* One for each loop, found by the loop's `data`; lives as long as the loop has watches, or is run
 * by watch_run_loop(). */
struct set {
    uv_loop_t *loop;
    int fd;
    bool drives;         /* watch_run_loop() waits in it; else libuv does, by `inner` */
    uv_poll_t inner;     /* not in one that drives */
    uv_timer_t timer;    /* for `refused`; one that drives keeps it set, for never */
    uv_handle_t *keeper; /* one of these two: counts for the loop while something is wanted */
    unsigned n_watches, n_wanting;
    bool is_telling;
    struct list refused; /* watches that the kernel did not take as wanted */
    struct list closed;  /* while telling: an event for them may be among those taken */
};

struct watch {
    struct set *set;
    struct list link; /* in set->refused or set->closed */
    int fd;
    bool is_armed;          /* the kernel knows the descriptor, */
    unsigned armed, wanted; /* and these events of it, at least what is wanted, or it is refused */
    watch_ready *ready;     /* NULL: closed */
    void *ctx;
};

/* ---- the end of a set ---- */

static void release(struct set *set)
{
    close(set->fd);
    free(set);
}

static void on_timer_closed(uv_handle_t *timer)
{
    release(timer->data);
}

static void on_inner_closed(uv_handle_t *inner)
{
    struct set *set = inner->data;
    uv_close((uv_handle_t *)&set->timer, on_timer_closed);
}

static void free_set(struct set *set)
{
    assert(set->n_watches == 0);
    set->loop->data = NULL;
    if (set->drives) {
        uv_close((uv_handle_t *)&set->timer, on_timer_closed);
    } else {
        uv_close((uv_handle_t *)&set->inner, on_inner_closed);
    }
}

/* A driven one is for the loop's whole life. */
static void free_if_unused(struct set *set)
{
    if (set->n_watches == 0 && !set->drives && !set->is_telling) {
        free_set(set);
    }
}

static void free_closed(struct set *set)
{
    LIST_EACH_SAFE (link, &set->closed) {
        free(list_item(link, struct watch, link));
    }
    list_init(&set->closed);
}

/* ---- what is wanted ---- */

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

static void on_timer(uv_timer_t *timer);

static void refuse(struct watch *watch)
{
    uv_timer_t *timer = &watch->set->timer;
    list_append(&watch->set->refused, &watch->link);
    if (!uv_is_active((uv_handle_t *)timer) || uv_timer_get_due_in(timer) > RETRY_MS) {
        uv_timer_start(timer, on_timer, RETRY_MS, 0);
    }
}

static void arm(struct watch *watch)
{
    struct epoll_event event = {.events = epoll_of(watch->wanted), .data.ptr = watch};
    int what = watch->is_armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    list_remove(&watch->link);
    if (watch->wanted == 0) {
        disarm(watch);
    } else if (epoll_ctl(watch->set->fd, what, watch->fd, &event) == 0) {
        watch->is_armed = true;
        watch->armed = watch->wanted;
    } else {
        refuse(watch);
    }
}

/* Counts those that keep the loop alive. */
static void set_wanted(struct watch *watch, unsigned events)
{
    struct set *set = watch->set;
    set->n_wanting += (events != 0) - (watch->wanted != 0);
    watch->wanted = events;
    list_remove(&watch->link); /* what was refused may not be wanted any more */
    if (set->n_wanting > 0) {
        uv_ref(set->keeper);
    } else {
        uv_unref(set->keeper);
    }
}

/* ---- telling ---- */

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
        arm(watch); /* nobody wants this any more: now the kernel learns it, too */
    }
}

static void end_telling(struct set *set)
{
    set->is_telling = false;
    free_closed(set);
    free_if_unused(set);
}

static void rest(struct set *set)
{
    if (set->drives) {
        uv_timer_start(&set->timer, on_timer, NEVER_MS, 0);
    }
}

/* Tells those that were refused until now, up to a mark: who asks again is told the next time. */
static void on_timer(uv_timer_t *timer)
{
    struct set *set = timer->data;
    struct list mark;
    rest(set);
    set->is_telling = true;
    list_append(&set->refused, &mark);
    while (set->refused.next != &mark) {
        struct watch *watch = list_item(set->refused.next, struct watch, link);
        list_remove(&watch->link);
        tell(watch, EPOLLERR);
    }
    list_remove(&mark);
    end_telling(set);
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
    end_telling(set);
    return is_libuv;
}

static void on_inner(uv_poll_t *inner, int status, int events)
{
    (void)status, (void)events;
    turn(inner->data, 0);
}

/* ---- the set ---- */

static struct set *make_set(uv_loop_t *loop)
{
    struct set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    set->loop = loop;
    list_init(&set->refused);
    list_init(&set->closed);
    set->fd = epoll_create1(EPOLL_CLOEXEC);
    if (set->fd < 0) {
        free(set);
        return NULL;
    }
    return set;
}

/* Nothing may fail any more. */
static struct set *settle(struct set *set)
{
    uv_timer_init(set->loop, &set->timer);
    set->timer.data = set;
    set->keeper = set->drives ? (uv_handle_t *)&set->timer : (uv_handle_t *)&set->inner;
    uv_unref(set->keeper);
    rest(set);
    set->loop->data = set;
    return set;
}

static struct set *give_up(struct set *set, int error)
{
    release(set);
    errno = error;
    return NULL;
}

/* The loop's set, which is made when there is none. */
static struct set *set_of(uv_loop_t *loop)
{
    struct set *set = loop->data != NULL ? loop->data : make_set(loop);
    if (set == NULL || set == loop->data) {
        return set;
    }
    int error = -uv_poll_init(loop, &set->inner, set->fd);
    if (error != 0) {
        return give_up(set, error);
    }
    set->inner.data = set;
    uv_poll_start(&set->inner, UV_READABLE, on_inner);
    return settle(set);
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
        give_up(set, errno);
        return -1;
    }
    settle(set);
    return 0;
}

void watch_run_loop(uv_loop_t *loop)
{
    struct set *set = loop->data;
    while (uv_loop_alive(loop)) {
        uv_update_time(loop); /* the owners may have taken long */
        bool is_libuv = turn(set, uv_backend_timeout(loop));
        if (is_libuv || uv_backend_timeout(loop) == 0) {
            uv_run(loop, UV_RUN_NOWAIT);
        }
    }
    free_set(set);
    uv_run(loop, UV_RUN_DEFAULT); /* closes the timer */
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
        int error = errno;
        if (set != NULL) {
            free_if_unused(set);
        }
        abandon(fd);
        errno = error;
        return NULL;
    }
    list_init(&watch->link);
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
        list_append(&set->closed, &watch->link);
        return NULL;
    }
    free(watch);
    free_if_unused(set);
    return NULL;
}
