/* The log's lines that tell of many failures at once: for each service and reason, what was folded
 * in an interval (worker/tally.h). It does nothing while nothing is folded. */
#pragma once

#include "control/ledger.h"

#include <uv.h>

struct digest;

/* Watches over the tallies of these accounts; the ledger must outlive it. Returns NULL when memory
 * is out. */
struct digest *digest_start(uv_loop_t *loop, const struct ledger *ledger);

/* To be called in the loop's thread after a worker's call of worker_watcher.changed: something may
 * be folded from now on. */
void digest_wake(struct digest *digest);

/* Tells what is folded and untold; the workers must have ended. The loop must turn once more for
 * all memory to be freed. Accepts NULL; returns NULL. */
struct digest *digest_stop(struct digest *digest);
