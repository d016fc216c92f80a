#include "control/crew.h"

#include "base/cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct crew {
    uint64_t given; /* orders */
    size_t n;
    struct worker *workers[];
};

struct order {
    bool has_failed;
    size_t n;
    struct change *changes[]; /* one for each worker; owned */
};

/* ---- the workers ---- */

struct crew *crew_start(size_t n, struct worker_watcher watcher)
{
    struct crew *crew = calloc(1, sizeof(*crew) + n * sizeof(crew->workers[0]));
    if (crew == NULL) {
        return NULL;
    }
    /* Signals are for the control thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (crew->n < n && (crew->workers[crew->n] = worker_start((unsigned)n, watcher)) != NULL) {
        crew->n++;
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (crew->n < n) {
        crew = crew_stop(crew);
        errno = error;
    }
    return crew;
}

size_t crew_size(const struct crew *crew)
{
    return crew->n;
}

struct worker *const *crew_workers(const struct crew *crew)
{
    return crew->workers;
}

bool crew_is_settled(const struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++) {
        if (worker_changes(crew->workers[i]) < crew->given) {
            return false;
        }
    }
    return true;
}

void crew_drain(struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++) {
        worker_drain(crew->workers[i]);
    }
}

void crew_cut(struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++) {
        worker_cut(crew->workers[i]);
    }
}

bool crew_is_drained(const struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++) {
        if (!worker_is_drained(crew->workers[i])) {
            return false;
        }
    }
    return true;
}

struct crew *crew_stop(struct crew *crew)
{
    for (size_t i = 0; crew != NULL && i < crew->n; i++) {
        worker_stop(crew->workers[i]);
    }
    free(crew);
    return NULL;
}

/* ---- orders ---- */

struct order *order_new(const struct crew *crew, size_t n_slots)
{
    struct order *order = calloc(1, sizeof(*order) + crew->n * sizeof(order->changes[0]));
    if (order == NULL) {
        return NULL;
    }
    order->n = crew->n;
    for (size_t i = 0; i < order->n; i++) {
        order->changes[i] = change_new(n_slots);
        if (order->changes[i] == NULL) {
            return order_free(order);
        }
    }
    return order;
}

static void note(struct order *order, int result)
{
    order->has_failed |= result < 0;
}

void order_refresh(struct order *order)
{
    for (size_t i = 0; i < order->n; i++) {
        note(order, change_refresh(order->changes[i]));
    }
}

void order_serve(struct order *order, struct service *service, bool is_elsewhere)
{
    for (size_t i = 0; i < order->n; i++) {
        note(order, change_serve(order->changes[i], service, is_elsewhere));
    }
}

void order_remove(struct order *order, size_t service_id)
{
    for (size_t i = 0; i < order->n; i++) {
        note(order, change_remove(order->changes[i], service_id));
    }
}

void order_move(struct order *order, size_t service_id, uint64_t door)
{
    for (size_t i = 0; i < order->n; i++) {
        note(order, change_move(order->changes[i], service_id, door));
    }
}

void order_close(struct order *order, uint64_t door)
{
    for (size_t i = 0; i < order->n; i++) {
        note(order, change_close(order->changes[i], door));
    }
}

void order_resolve(struct order *order, size_t service_id, struct endpoints *endpoints)
{
    for (size_t i = 0; i < order->n; i++) {
        note(order, change_resolve(order->changes[i], service_id, endpoints));
    }
}

void order_retire(struct order *order, enum retirement_cause cause, struct service *service,
                  struct retirement_terms terms)
{
    for (size_t i = 0; i < order->n; i++) {
        struct retirement *retirement = retirement_new(cause, service, terms);
        note(order, retirement != NULL ? change_retire(order->changes[i], retirement) : -1);
    }
}

void order_open(struct order *order, size_t service_id, uint64_t door, const int *fds,
                enum change_queue queue)
{
    for (size_t i = 0; i < order->n; i++) {
        note(order, change_open(order->changes[i], service_id, door, fds[i], queue));
    }
}

bool order_is_whole(const struct order *order)
{
    return !order->has_failed;
}

void order_give(struct order *order, struct crew *crew)
{
    crew->given++;
    for (size_t i = 0; i < order->n; i++) {
        worker_change(crew->workers[i], cleanup_steal(order->changes[i]));
    }
    order_free(order);
}

struct order *order_free(struct order *order)
{
    for (size_t i = 0; order != NULL && i < order->n; i++) {
        change_free(order->changes[i]);
    }
    free(order);
    return NULL;
}
