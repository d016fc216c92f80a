#include "worker/trickle.h"

#include "worker/deadline.h"

#include <stdlib.h>

struct trickle {
    struct list waiting;
    void (*act)(struct list *item);
    struct deadline *next; /* set while any wait */
};

static void act_on_first(struct trickle *trickle)
{
    struct list *item = trickle->waiting.next;
    list_remove(item);
    trickle->act(item);
}

static void on_next(void *ctx)
{
    struct trickle *trickle = ctx;
    for (unsigned n = 0; n < TRICKLE_MAX && !list_empty(&trickle->waiting); n++) {
        act_on_first(trickle);
    }
    if (!list_empty(&trickle->waiting)) {
        deadline_set(trickle->next, 0);
    }
}

struct trickle *trickle_new(uv_loop_t *loop, void (*act)(struct list *item))
{
    struct trickle *trickle = calloc(1, sizeof(*trickle));
    if (trickle == NULL) {
        return NULL;
    }
    list_init(&trickle->waiting);
    trickle->act = act;
    trickle->next = deadline_new(loop, on_next, trickle);
    return trickle->next != NULL ? trickle : trickle_free(trickle);
}

void trickle_add(struct trickle *trickle, struct list *item)
{
    if (list_empty(&trickle->waiting)) {
        deadline_set(trickle->next, 0);
    }
    list_append(&trickle->waiting, item);
}

bool trickle_is_empty(const struct trickle *trickle)
{
    return list_empty(&trickle->waiting);
}

struct trickle *trickle_free(struct trickle *trickle)
{
    if (trickle == NULL) {
        return NULL;
    }
    while (!list_empty(&trickle->waiting)) {
        act_on_first(trickle);
    }
    deadline_free(trickle->next);
    free(trickle);
    return NULL;
}
