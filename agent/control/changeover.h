/* From one snapshot to the next, under traffic: what has not changed is not touched, new doors open
 * before old ones close, and until nothing can fail any more nothing has happened. */
#pragma once

#include "base/problems.h"
#include "control/snapshot.h"

#include <stddef.h>

struct control;

/* Of how many services. */
struct changeover_counts {
    size_t added, changed, removed, unchanged;
};

/* Counts what lies between two snapshots; `before` may be NULL. */
struct changeover_counts changeover_count(const struct snapshot *before,
                                          const struct snapshot *next);

/* Puts `next`, which was read beside the snapshot in use, in its place, and owns it from here on.
 * Returns -1 after noting why that is not possible; then nothing has changed and `next` stays the
 * caller's. */
int changeover(struct control *control, struct snapshot *next, struct problems *problems);
