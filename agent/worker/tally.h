/* What became of a service's connections, or of its attempts to reach a backend: how many ended
 * with each reason, and which failures have a line of their own in the log.
 *
 * The first failure of a reason has one. Those that follow are folded: counted until the control
 * thread takes the sum, once in an interval, and tells it in one line. An interval without any ends
 * the folding, and the next failure is a first one again. Where the sender of an alert decides the
 * reason's side, each sender's are folded apart.
 *
 * All workers and the control thread share a tally, and none waits for another. A failure is either
 * a first one or in exactly one sum. Times are those of clock_ms(). */
#pragma once

#include "base/failure.h"

#include <stdbool.h>
#include <stdint.h>

struct worker_watcher;

struct tally;

/* Makes an empty tally. NULL when memory is out. */
struct tally *tally_new(void);

/* With what is folded and untold. Accepts NULL; returns NULL. */
struct tally *tally_free(struct tally *tally);

/* Counts an end, be it a failure or not, and whether the peer decided it. */
void tally_add(struct tally *tally, enum reason reason, bool by_peer);

/* How many of this reason were counted so far; and how many that we decided, or the peer. */
uint64_t tally_count(const struct tally *tally, enum reason reason);
uint64_t tally_count_by(const struct tally *tally, enum reason reason, bool by_peer);

/* Takes a failure in. True: it is folded. False: it is to be told in full, as a first one, of which
 * `watcher` was woken, for from now on the sums must be taken; or because it cannot be counted, for
 * want of memory or of bits. */
bool tally_fold(struct tally *tally, const struct failure *failure, uint64_t now_ms,
                const struct worker_watcher *watcher);

/* The failures of one reason that were folded in an interval: at least one. */
struct tally_sum {
    enum reason reason;
    bool by_peer;
    uint64_t count;
    uint64_t interval_ms; /* as long as it really was */
    const char *detail;   /* of one of them, or of one shortly before; NULL: none is known; valid
                           * until tally_teller returns */
};

/* True while something may be folded and untold. */
bool tally_is_folding(const struct tally *tally);

typedef void tally_teller(void *ctx, const struct tally_sum *sum);

#define TALLY_NEVER UINT64_MAX

/* For one thread at a time: hands over the sums of all intervals that have lasted for `interval_ms`
 * (0: of all). Returns when the next one will have, TALLY_NEVER when nothing is folded any more. */
uint64_t tally_tell(struct tally *tally, uint64_t now_ms, uint64_t interval_ms, tally_teller *tell,
                    void *ctx);
