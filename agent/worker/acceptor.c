#include "worker/acceptor.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/listener.h"
#include "net/socket.h"
#include "worker/deadline.h"
#include "worker/session.h"
#include "worker/watch.h"
#include "worker/worker_fields.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Callers taken in per event, so that a storm of them leaves time for those who are in. */
#define ACCEPT_MAX 64

/* Callers taken in at the end: as many as the kernel's queue holds, not who comes meanwhile. */
#define DRAIN_MAX 4096

/* For so long the last caller's descriptor, below which all were in use, tells how many are. */
#define FD_SEEN_MS 1000

/* When descriptors or memory run out, the callers wait in the kernel's queue for so long. */
#define PAUSE_MS 100

#define TOLD_EVERY_MS 10000

/* On a port that another process shares from now on: callers whose connection is under way to us
 * get so long to come. */
#define LINGER_MS 100

/* How often what an older process has said of the port is taken back; see listener_gather(). */
#define GATHER_MS 60000

struct acceptor {
    struct list link; /* in worker->acceptors */
    struct worker *worker;
    struct slot *slot;
    uint64_t door;
    enum change_queue queue;
    bool is_leaving; /* when `pause` is over */
    uint64_t gathered_ms;
    struct watch *watch;
    struct deadline *pause;
};

static bool is_passing(int error)
{
    /* What happened to one caller before it was accepted: accept(2) tells it here. */
    return error == ECONNABORTED || error == EPROTO || error == EINTR || error == EPERM ||
           error == ENETDOWN || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
           error == ENETUNREACH;
}

/* Once per interval for the whole process, which runs out of descriptors as a whole. */
static bool is_to_be_told(void)
{
    static _Atomic(uint64_t) told_ms;
    uint64_t now = clock_ms(), last = atomic_load(&told_ms);
    return (last == 0 || now - last >= TOLD_EVERY_MS) &&
           atomic_compare_exchange_strong(&told_ms, &last, now);
}

static void pause_accepting(struct acceptor *acceptor, int error)
{
    if (is_to_be_told()) {
        log_message(LEVEL_ERROR,
                    "callers have to wait, of service %s among others: %s; raise LimitNOFILE or "
                    "lower max_connections",
                    acceptor->slot->service->name, strerror(error));
    }
    watch_want(acceptor->watch, 0);
    deadline_set(acceptor->pause, PAUSE_MS);
}

/* True when so few descriptors are left that the control plane shall have them, for the log, DNS,
 * status and reload. */
static bool is_short(const struct acceptor *acceptor)
{
    struct worker *worker = acceptor->worker;
    if (worker->last_fd < worker->most_fds / 2 &&
        uv_now(&worker->loop) - worker->fd_seen_ms < FD_SEEN_MS) {
        return false; /* far from it */
    }
    return !worker_has_descriptor(worker->most_fds);
}

/* Returns 0 when a caller was taken in, else the errno that stopped it. */
static int accept_one(struct acceptor *acceptor)
{
    struct addr caller;
    if (is_short(acceptor)) {
        return EMFILE;
    }
    int fd = socket_accept(watch_fd(acceptor->watch), &caller);
    if (fd < 0) {
        return errno;
    }
    acceptor->worker->last_fd = (uint64_t)fd;
    acceptor->worker->fd_seen_ms = uv_now(&acceptor->worker->loop);
    session_start(acceptor->worker, acceptor->slot, fd, &caller);
    return 0;
}

static void gather(struct acceptor *acceptor)
{
    uint64_t now = uv_now(&acceptor->worker->loop);
    if (acceptor->queue == CHANGE_QUEUE_SHARED && !acceptor->is_leaving &&
        now - acceptor->gathered_ms >= GATHER_MS) {
        acceptor->gathered_ms = now;
        listener_gather(watch_fd(acceptor->watch));
    }
}

static void on_ready(void *ctx, unsigned events)
{
    struct acceptor *acceptor = ctx;
    (void)events;
    gather(acceptor);
    for (unsigned i = 0; i < ACCEPT_MAX; i++) {
        int error = accept_one(acceptor);
        if (error != 0 && !is_passing(error)) {
            if (!socket_would_block(error)) {
                pause_accepting(acceptor, error);
            } else {
                watch_want(acceptor->watch, WATCH_READ); /* anew, if the kernel had refused that */
            }
            return;
        }
    }
}

/* Takes in who is already queued, unless the queue outlives us. */
static void take_in(struct acceptor *acceptor)
{
    int error = acceptor->queue == CHANGE_QUEUE_LENT ? EAGAIN : 0;
    for (unsigned i = 0; i < DRAIN_MAX && (error == 0 || is_passing(error)); i++) {
        error = accept_one(acceptor);
    }
}

static void leave(struct acceptor *acceptor)
{
    struct worker *worker = acceptor->worker;
    take_in(acceptor);
    acceptor_stop(&acceptor->link);
    worker_tell_if_drained(worker);
}

static void on_pause_over(void *ctx)
{
    struct acceptor *acceptor = ctx;
    if (acceptor->is_leaving) {
        leave(acceptor);
    } else {
        watch_want(acceptor->watch, WATCH_READ);
    }
}

int acceptor_start(struct worker *worker, struct slot *slot, uint64_t door, int fd,
                   enum change_queue queue)
{
    struct acceptor *acceptor = calloc(1, sizeof(*acceptor));
    if (acceptor == NULL) {
        close(fd);
        return -1;
    }
    acceptor->worker = worker;
    acceptor->slot = slot;
    acceptor->door = door;
    acceptor->queue = queue;
    acceptor->gathered_ms = uv_now(&worker->loop);
    list_append(&worker->acceptors, &acceptor->link);
    acceptor->watch = watch_open(&worker->loop, fd, on_ready, acceptor);
    acceptor->pause = deadline_new(&worker->loop, on_pause_over, acceptor);
    if (acceptor->watch == NULL || acceptor->pause == NULL) {
        acceptor_stop(&acceptor->link);
        return -1;
    }
    watch_want(acceptor->watch, WATCH_READ);
    return 0;
}

/* NULL where it could not be started, for want of memory. */
static struct acceptor *find(struct worker *worker, uint64_t door)
{
    LIST_EACH (link, &worker->acceptors) {
        struct acceptor *acceptor = list_item(link, struct acceptor, link);
        if (acceptor->door == door) {
            return acceptor;
        }
    }
    return NULL;
}

void acceptor_move(struct worker *worker, uint64_t door, struct slot *slot)
{
    struct acceptor *acceptor = find(worker, door);
    if (acceptor != NULL) {
        acceptor->slot = slot;
    }
}

void acceptor_close(struct worker *worker, uint64_t door)
{
    struct acceptor *acceptor = find(worker, door);
    if (acceptor != NULL) {
        take_in(acceptor);
        acceptor_stop(&acceptor->link);
    }
}

void acceptor_drain(struct list *link)
{
    struct acceptor *acceptor = list_item(link, struct acceptor, link);
    if (acceptor->queue == CHANGE_QUEUE_SHARED) {
        listener_yield(watch_fd(acceptor->watch), acceptor->worker->n_peers);
        acceptor->is_leaving = true;
        deadline_set(acceptor->pause, LINGER_MS);
    } else {
        leave(acceptor);
    }
}

void acceptor_stop(struct list *link)
{
    struct acceptor *acceptor = list_item(link, struct acceptor, link);
    list_remove(link);
    watch_close(acceptor->watch);
    deadline_free(acceptor->pause);
    free(acceptor);
}
