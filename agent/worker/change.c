#include "worker/change.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "worker/acceptor.h"
#include "worker/session.h"
#include "worker/worker_fields.h"

#include <stdlib.h>
#include <unistd.h>

enum step_kind {
    STEP_REFRESH,
    STEP_SERVE,
    STEP_REMOVE,
    STEP_OPEN,
    STEP_MOVE,
    STEP_CLOSE,
    STEP_RESOLVE,
    STEP_RETIRE
};

struct step {
    struct step *next;
    enum step_kind kind;
    size_t slot;
    struct slot *fresh;          /* SERVE: owned; used if the service is new */
    struct service *service;     /* SERVE: a reference */
    struct endpoints *endpoints; /* RESOLVE: a reference */
    struct retirement *retirement;
    uint64_t door;           /* OPEN, MOVE, CLOSE */
    int fd;                  /* OPEN; else -1 */
    enum change_queue queue; /* OPEN */
    bool is_elsewhere;       /* SERVE */
};

struct change {
    struct letter letter;
    struct slot **table; /* NULL: the worker's is large enough */
    size_t n_slots;
    struct step *first, *last;
};

/* ---- in the control thread ---- */

struct change *change_new(size_t n_slots)
{
    struct change *change = calloc(1, sizeof(*change));
    if (change == NULL) {
        return NULL;
    }
    change->n_slots = n_slots;
    change->table = n_slots > 0 ? calloc(n_slots, sizeof(struct slot *)) : NULL;
    return n_slots == 0 || change->table != NULL ? change : change_free(change);
}

static void free_step(struct step *step)
{
    cleanup_close(&step->fd);
    slot_free(step->fresh);
    service_unref(step->service);
    endpoints_unref(step->endpoints);
    retirement_free(step->retirement);
    free(step);
}

struct change *change_free(struct change *change)
{
    if (change == NULL) {
        return NULL;
    }
    for (struct step *step = change->first; step != NULL;) {
        struct step *next = step->next;
        free_step(step);
        step = next;
    }
    free(change->table);
    free(change);
    return NULL;
}

static struct step *add(struct change *change, enum step_kind kind)
{
    struct step *step = calloc(1, sizeof(*step));
    if (step == NULL) {
        return NULL;
    }
    step->kind = kind;
    step->fd = -1;
    *(change->last != NULL ? &change->last->next : &change->first) = step;
    change->last = step;
    return step;
}

int change_serve(struct change *change, struct service *service, bool is_elsewhere)
{
    struct step *step = add(change, STEP_SERVE);
    if (step == NULL || (step->fresh = slot_new()) == NULL) {
        return -1;
    }
    step->slot = service->id;
    step->service = service_ref(service);
    step->is_elsewhere = is_elsewhere;
    return 0;
}

int change_refresh(struct change *change)
{
    return add(change, STEP_REFRESH) != NULL ? 0 : -1;
}

int change_remove(struct change *change, size_t service_id)
{
    struct step *step = add(change, STEP_REMOVE);
    if (step == NULL) {
        return -1;
    }
    step->slot = service_id;
    return 0;
}

int change_open(struct change *change, size_t service_id, uint64_t door, int fd,
                enum change_queue queue)
{
    struct step *step = add(change, STEP_OPEN);
    if (step == NULL) {
        close(fd);
        return -1;
    }
    step->slot = service_id;
    step->door = door;
    step->fd = fd;
    step->queue = queue;
    return 0;
}

int change_move(struct change *change, size_t service_id, uint64_t door)
{
    struct step *step = add(change, STEP_MOVE);
    if (step == NULL) {
        return -1;
    }
    step->slot = service_id;
    step->door = door;
    return 0;
}

int change_close(struct change *change, uint64_t door)
{
    struct step *step = add(change, STEP_CLOSE);
    if (step == NULL) {
        return -1;
    }
    step->door = door;
    return 0;
}

int change_resolve(struct change *change, size_t service_id, struct endpoints *endpoints)
{
    struct step *step = add(change, STEP_RESOLVE);
    if (step == NULL) {
        return -1;
    }
    step->slot = service_id;
    step->endpoints = endpoints_ref(endpoints);
    return 0;
}

int change_retire(struct change *change, struct retirement *retirement)
{
    struct step *step = add(change, STEP_RETIRE);
    if (step == NULL) {
        retirement_free(retirement);
        return -1;
    }
    step->retirement = retirement;
    return 0;
}

struct letter *change_letter(struct change *change)
{
    return &change->letter;
}

struct change *change_of(struct letter *letter)
{
    return list_item(letter, struct change, letter);
}

/* ---- in the worker's thread ---- */

/* The larger table takes the place of the worker's own. */
static void grow(struct change *change, struct worker *worker)
{
    if (change->n_slots > worker->n_slots) {
        for (size_t i = 0; i < worker->n_slots; i++) {
            change->table[i] = worker->slots[i];
        }
        free(worker->slots);
        worker->slots = cleanup_steal(change->table);
        worker->n_slots = change->n_slots;
    }
}

static void serve(struct worker *worker, struct step *step)
{
    struct slot **slot = &worker->slots[step->slot];
    if (*slot == NULL) {
        *slot = cleanup_steal(step->fresh);
    }
    if (step->is_elsewhere) {
        slot_resolve(*slot, NULL);
    }
    slot_serve(*slot, worker, cleanup_steal(step->service));
}

static void refresh(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_slots; i++) {
        if (worker->slots[i] != NULL) {
            slot_refresh(worker->slots[i], worker);
        }
    }
}

static void remove_slot(struct worker *worker, const struct step *step)
{
    struct slot **slot = &worker->slots[step->slot];
    while (!list_empty(&(*slot)->waiting)) {
        session_turn_away((*slot)->waiting.next);
    }
    *slot = slot_free(*slot);
}

static void open_door(struct worker *worker, struct step *step)
{
    struct slot *slot = worker->slots[step->slot];
    int fd = cleanup_steal_fd(&step->fd);
    if (acceptor_start(worker, slot, step->door, fd, step->queue) < 0) {
        log_message(LEVEL_ERROR, "out of memory: service %s is not served by all workers",
                    slot->service->name);
    }
}

static void resolve(struct worker *worker, struct step *step)
{
    struct slot *slot = worker->slots[step->slot];
    if (slot != NULL) { /* it may be gone since the answer was sent */
        slot_resolve(slot, cleanup_steal(step->endpoints));
        worker->waking |= !list_empty(&slot->waiting);
    }
}

static void take(struct worker *worker, struct step *step)
{
    switch (step->kind) {
    case STEP_REFRESH:
        refresh(worker);
        break;
    case STEP_SERVE:
        serve(worker, step);
        break;
    case STEP_REMOVE:
        remove_slot(worker, step);
        break;
    case STEP_OPEN:
        open_door(worker, step);
        break;
    case STEP_MOVE:
        acceptor_move(worker, step->door, worker->slots[step->slot]);
        break;
    case STEP_CLOSE:
        acceptor_close(worker, step->door);
        break;
    case STEP_RESOLVE:
        resolve(worker, step);
        break;
    case STEP_RETIRE:
        retirement_begin(worker, cleanup_steal(step->retirement));
        break;
    }
}

void change_apply(struct change *change, struct worker *worker)
{
    grow(change, worker);
    for (struct step *step = change->first; step != NULL; step = step->next) {
        take(worker, step);
    }
    change_free(change);
}
