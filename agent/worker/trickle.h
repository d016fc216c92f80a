/* Work on many items, some in each turn of a loop, so that a crowd of them does not keep every
 * connection waiting. All functions are for the loop's thread. */
#pragma once

#include "base/list.h"

#include <stdbool.h>

#include <uv.h>

/* Items in a turn: at some 40 microseconds for each session that is closed, half a millisecond. */
#define TRICKLE_MAX 16

struct trickle;

/* `act` is called once for each item, which is its own from then on. Returns NULL when memory is
 * out. The loop must outlive it. */
struct trickle *trickle_new(uv_loop_t *loop, void (*act)(struct list *item));

/* Adds an item behind those that wait; none is worked on before this returns. */
void trickle_add(struct trickle *trickle, struct list *item);

bool trickle_is_empty(const struct trickle *trickle);

/* Works on all that still wait, and frees it. Accepts NULL; returns NULL. */
struct trickle *trickle_free(struct trickle *trickle);
