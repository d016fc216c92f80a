/* How a worker lives.
 *
 * Its thread runs one libuv loop, from watch_run_loop(), and touches nothing that another thread
 * writes, but for what the control thread puts into the mailbox, a few atomic flags, and the
 * services' accounts. Whatever the control thread wants done, it leaves there and rings the bell,
 * an uv_async_t; the letters are read first, then the flags, so that what was sent before a flag
 * was set is done before it. Services, endpoints and profiles are immutable and reference-counted:
 * a connection keeps what it began with. Nothing here waits for a lock, for DNS or for a file.
 *
 * A handshake that signs slowly is lent to the worker's second hand (jobs.h), and touched by nobody
 * else until it is back; only the worker's end waits for that. */
#include "worker/worker.h"

#include "base/log.h"
#include "worker/acceptor.h"
#include "worker/session.h"
#include "worker/spare.h"
#include "worker/warm.h"
#include "worker/watch.h"
#include "worker/worker_fields.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* Memory is given back when so many connections have been open at once, and most of them have been
 * gone for so long. */
#define CROWD        64
#define GIVE_BACK_MS 200

/* Descriptors that are left to the control plane. */
#define RESERVE_MAX UINT64_C(64)

/* How often to look for secrets of sessions that nobody comes to resume. */
#define SWEEP_MS (10 * 60 * UINT64_C(1000))

/* Sessions dialled per turn of the loop when their endpoints become known. */
#define WAKE_MAX 64

/* ---- in the worker's thread ---- */

/* Dials for those who waited for endpoints: some at a time, so that a crowd of them does not keep
 * every other connection waiting. */
static void wake_waiting(struct worker *worker)
{
    unsigned left = WAKE_MAX;
    worker->waking = false;
    for (size_t i = 0; i < worker->n_slots; i++) {
        struct slot *slot = worker->slots[i];
        while (slot != NULL && slot->endpoints != NULL && !list_empty(&slot->waiting)) {
            if (left-- == 0) {
                worker->waking = true;
                uv_async_send(&worker->bell);
                return;
            }
            session_resolved(slot->waiting.next, slot);
        }
    }
}

static void read_mail(struct worker *worker)
{
    struct letter *letter = mailbox_take(&worker->mailbox);
    while (letter != NULL) {
        struct letter *next = letter->next;
        change_apply(change_of(letter), worker);
        atomic_fetch_add(&worker->changes, 1);
        worker->watcher.changed(worker->watcher.ctx);
        letter = next;
    }
}

void worker_tell_if_drained(struct worker *worker)
{
    if (worker->draining && list_empty(&worker->acceptors) && list_empty(&worker->sessions)) {
        atomic_store(&worker->drained, true);
        worker->watcher.changed(worker->watcher.ctx);
    }
}

static bool crowd_has_left(const struct worker *worker)
{
    return worker->most_sessions >= CROWD && worker->n_sessions <= worker->most_sessions / 4;
}

/* What a crowd used lies scattered in the heap, free but still ours. */
static void on_give_back(void *ctx)
{
    struct worker *worker = ctx;
    if (crowd_has_left(worker)) {
        worker->most_sessions = worker->n_sessions;
#ifdef __GLIBC__
        malloc_trim(0);
#endif
    }
}

static void on_sweep(void *ctx)
{
    struct worker *worker = ctx;
    for (size_t i = 0; i < worker->n_slots; i++) {
        if (worker->slots[i] != NULL) {
            slot_sweep(worker->slots[i]);
        }
    }
    deadline_set(worker->sweep, SWEEP_MS);
}

static void close_spare(struct list *link)
{
    spare_free(spare_of(link));
}

void worker_enter(struct worker *worker, struct list *session)
{
    list_append(&worker->sessions, session);
    worker->n_sessions++;
    if (worker->n_sessions > worker->most_sessions) {
        worker->most_sessions = worker->n_sessions;
    }
}

void worker_leave(struct worker *worker, struct list *session)
{
    list_remove(session);
    worker->n_sessions--;
    if (crowd_has_left(worker) && worker->give_back != NULL) {
        deadline_set(worker->give_back, GIVE_BACK_MS);
    }
    worker_tell_if_drained(worker);
}

struct slot *worker_slot(struct worker *worker, const struct service *service)
{
    struct slot *slot = worker->slots[service->id];
    return slot != NULL && slot->service == service ? slot : NULL;
}

void worker_note_acceptance(struct worker *worker, const struct service *service)
{
    const struct slot *slot = worker_slot(worker, service);
    if (slot != NULL && slot->warm != NULL) {
        warm_encourage(slot->warm);
    }
}

bool worker_has_descriptor(uint64_t below)
{
    int fd = eventfd(0, EFD_CLOEXEC); /* the cheapest kind */
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 && (uint64_t)fd < below;
}

static void close_slots(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_slots; i++) {
        if (worker->slots[i] != NULL) {
            slot_close(worker->slots[i]);
        }
    }
}

static void drain(struct worker *worker)
{
    if (worker->draining) {
        return;
    }
    worker->draining = true;
    close_slots(worker);
    LIST_EACH_SAFE (acceptor, &worker->acceptors) {
        acceptor_drain(acceptor);
    }
    worker_tell_if_drained(worker);
}

static void cut(struct worker *worker)
{
    while (!list_empty(&worker->sessions)) {
        session_cut(worker->sessions.next);
    }
}

static void stop(struct worker *worker)
{
    while (!list_empty(&worker->acceptors)) {
        acceptor_stop(worker->acceptors.next);
    }
    cut(worker);
    close_slots(worker);
    while (!list_empty(&worker->retirements)) {
        retirement_free(list_item(worker->retirements.next, struct retirement, link));
    }
    worker->jobs = jobs_free(worker->jobs);
    worker->leaving = trickle_free(worker->leaving);
    worker->sweep = deadline_free(worker->sweep);
    worker->give_back = deadline_free(worker->give_back);
    uv_close((uv_handle_t *)&worker->bell, NULL);
}

static void on_bell(uv_async_t *bell)
{
    struct worker *worker = bell->data;
    uint64_t pings = atomic_load(&worker->pings);
    read_mail(worker);
    if (worker->waking) {
        wake_waiting(worker);
    }
    if (retirement_go_on(worker)) {
        uv_async_send(bell);
    }
    if (atomic_load(&worker->drain)) {
        drain(worker);
    }
    if (atomic_load(&worker->cut)) {
        cut(worker);
    }
    if (atomic_load(&worker->stop)) {
        stop(worker);
    }
    atomic_store(&worker->turns, pings);
}

static void *run(void *ctx)
{
    struct worker *worker = ctx;
    pthread_setname_np(pthread_self(), "worker");
    /* Any of them may be missing. */
    worker->give_back = deadline_new(&worker->loop, on_give_back, worker);
    worker->leaving = trickle_new(&worker->loop, close_spare);
    worker->sweep = deadline_new(&worker->loop, on_sweep, worker);
    if (worker->sweep != NULL) {
        deadline_set(worker->sweep, SWEEP_MS);
    }
    /* Until stop() has closed the last handle. */
    watch_run_loop(&worker->loop);
    return NULL;
}

/* ---- in the control thread ---- */

/* All but some that the control plane may need, of the limit as it is now. */
static uint64_t most_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    uint64_t all = limit.rlim_cur, eighth = all / 8;
    return all - (eighth < RESERVE_MAX ? eighth : RESERVE_MAX);
}

static struct worker *make(unsigned n_peers, struct worker_watcher watcher)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker != NULL) {
        worker->n_peers = n_peers;
        worker->most_fds = most_descriptors();
        worker->last_fd = UINT64_MAX;
        worker->watcher = watcher;
        worker->jobs = jobs_new(&worker->loop);
        list_init(&worker->acceptors);
        list_init(&worker->sessions);
        list_init(&worker->retirements);
    }
    return worker;
}

static void free_worker(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_slots; i++) {
        slot_free(worker->slots[i]);
    }
    for (struct letter *letter = mailbox_take(&worker->mailbox); letter != NULL;) {
        struct letter *next = letter->next;
        change_free(change_of(letter));
        letter = next;
    }
    scratch_release(&worker->scratch);
    jobs_free(worker->jobs);
    free(worker->slots);
    free(worker);
}

static int start_loop(struct worker *worker)
{
    int error = -uv_loop_init(&worker->loop);
    if (error != 0) {
        return error;
    }
    if (watch_prepare_loop(&worker->loop) < 0) {
        error = errno;
        uv_loop_close(&worker->loop);
        return error;
    }
    error = -uv_async_init(&worker->loop, &worker->bell, on_bell);
    if (error == 0) {
        worker->bell.data = worker;
        error = pthread_create(&worker->thread, NULL, run, worker);
        if (error == 0) {
            return 0;
        }
        uv_close((uv_handle_t *)&worker->bell, NULL);
    }
    watch_run_loop(&worker->loop);
    uv_loop_close(&worker->loop);
    return error;
}

struct worker *worker_start(unsigned n_peers, struct worker_watcher watcher)
{
    struct worker *worker = make(n_peers, watcher);
    if (worker == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    bool has_memory = scratch_init(&worker->scratch) == 0 && worker->jobs != NULL;
    int error = has_memory ? start_loop(worker) : ENOMEM;
    if (error != 0) {
        free_worker(worker);
        errno = error;
        return NULL;
    }
    return worker;
}

static void ring(struct worker *worker)
{
    uv_async_send(&worker->bell);
}

void worker_change(struct worker *worker, struct change *change)
{
    if (mailbox_put(&worker->mailbox, change_letter(change))) {
        ring(worker);
    }
}

uint64_t worker_changes(const struct worker *worker)
{
    return atomic_load(&worker->changes);
}

void worker_drain(struct worker *worker)
{
    atomic_store(&worker->drain, true);
    ring(worker);
}

void worker_cut(struct worker *worker)
{
    atomic_store(&worker->cut, true);
    ring(worker);
}

void worker_ping(struct worker *worker)
{
    atomic_fetch_add(&worker->pings, 1);
    ring(worker);
}

uint64_t worker_turns(const struct worker *worker)
{
    return atomic_load(&worker->turns);
}

bool worker_is_drained(const struct worker *worker)
{
    return atomic_load(&worker->drained);
}

struct worker *worker_stop(struct worker *worker)
{
    if (worker == NULL) {
        return NULL;
    }
    atomic_store(&worker->stop, true);
    ring(worker);
    pthread_join(worker->thread, NULL);
    uv_loop_close(&worker->loop);
    free_worker(worker);
    return NULL;
}
