#include "worker/tally.h"

#include "worker/worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A folding is one word, so that what ends an interval takes exactly the count that it sees: the
 * lower bits are the failures folded in it, the upper ones when it began. */
#define COUNT_BITS  24
#define COUNT_MAX   ((UINT64_C(1) << COUNT_BITS) - 1)
#define NOT_FOLDING UINT64_C(0)

struct kind {
    _Atomic(uint64_t) folding;
    _Atomic(char *) detail; /* owned; of one of the folded, or NULL */
};

struct kinds {
    struct kind of[REASON_COUNT][2]; /* decided by us, and by the peer */
};

struct tally {
    _Atomic(uint64_t) counts[REASON_COUNT][2];
    _Atomic(struct kinds *) kinds; /* owned; NULL until a failure comes: most services have none */
    _Atomic(bool) is_folding;      /* perhaps: spares the look at all kinds */
};

struct tally *tally_new(void)
{
    return calloc(1, sizeof(struct tally));
}

static void free_kinds(struct kinds *kinds)
{
    for (size_t reason = 0; kinds != NULL && reason < REASON_COUNT; reason++) {
        free(atomic_load_explicit(&kinds->of[reason][false].detail, memory_order_acquire));
        free(atomic_load_explicit(&kinds->of[reason][true].detail, memory_order_acquire));
    }
    free(kinds);
}

struct tally *tally_free(struct tally *tally)
{
    if (tally != NULL) {
        free_kinds(atomic_load_explicit(&tally->kinds, memory_order_acquire));
        free(tally);
    }
    return NULL;
}

void tally_add(struct tally *tally, enum reason reason, bool by_peer)
{
    atomic_fetch_add_explicit(&tally->counts[reason][by_peer], 1, memory_order_relaxed);
}

uint64_t tally_count_by(const struct tally *tally, enum reason reason, bool by_peer)
{
    return atomic_load_explicit(&tally->counts[reason][by_peer], memory_order_relaxed);
}

uint64_t tally_count(const struct tally *tally, enum reason reason)
{
    return tally_count_by(tally, reason, false) + tally_count_by(tally, reason, true);
}

static uint64_t begin(uint64_t now_ms)
{
    return now_ms << COUNT_BITS;
}

static uint64_t begun_ms(uint64_t folding)
{
    return folding >> COUNT_BITS;
}

static uint64_t count_of(uint64_t folding)
{
    return folding & COUNT_MAX;
}

/* What came too late for its own sum must not be told with another folding's. */
static void drop_detail(struct kind *kind)
{
    free(atomic_exchange_explicit(&kind->detail, NULL, memory_order_acquire));
}

/* The evidence of one is enough: the first that comes while none is kept. */
static void keep_detail(struct kind *kind, const char *detail)
{
    if (atomic_load_explicit(&kind->detail, memory_order_relaxed) != NULL) {
        return;
    }
    char *none = NULL, *copy = strdup(detail);
    if (!atomic_compare_exchange_strong_explicit(&kind->detail, &none, copy, memory_order_release,
                                                 memory_order_relaxed)) {
        free(copy);
    }
}

/* Makes them for the first failure of all. NULL when memory is out. */
static struct kinds *get_kinds(struct tally *tally)
{
    struct kinds *kinds = atomic_load_explicit(&tally->kinds, memory_order_acquire);
    if (kinds != NULL) {
        return kinds;
    }
    struct kinds *made = calloc(1, sizeof(*made));
    if (atomic_compare_exchange_strong_explicit(&tally->kinds, &kinds, made, memory_order_acq_rel,
                                                memory_order_acquire)) {
        return made;
    }
    free(made); /* another worker was first */
    return kinds;
}

bool tally_fold(struct tally *tally, const struct failure *failure, uint64_t now_ms,
                const struct worker_watcher *watcher)
{
    struct kinds *kinds = get_kinds(tally);
    if (kinds == NULL) {
        return false;
    }
    struct kind *kind = &kinds->of[failure->reason][failure->by_peer];
    uint64_t before = atomic_load_explicit(&kind->folding, memory_order_relaxed), after;
    do {
        if (count_of(before) == COUNT_MAX) {
            return false; /* what cannot be counted is told */
        }
        after = before == NOT_FOLDING ? begin(now_ms) : before + 1;
    } while (!atomic_compare_exchange_weak_explicit(&kind->folding, &before, after,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (before == NOT_FOLDING) {
        drop_detail(kind);
        atomic_store_explicit(&tally->is_folding, true, memory_order_release);
        watcher->changed(watcher->ctx);
        return false;
    }
    keep_detail(kind, failure->detail);
    return true;
}

bool tally_is_folding(const struct tally *tally)
{
    return atomic_load_explicit(&tally->is_folding, memory_order_acquire);
}

/* Ends the interval if it is over, and begins another if this one had any. Returns when that will
 * be over. */
static uint64_t take(struct kind *kind, uint64_t now_ms, uint64_t interval_ms,
                     struct tally_sum *ret_sum)
{
    uint64_t before = atomic_load_explicit(&kind->folding, memory_order_relaxed), after;
    do {
        uint64_t over_ms = begun_ms(before) + interval_ms;
        if (before == NOT_FOLDING || over_ms > now_ms) {
            return before == NOT_FOLDING ? TALLY_NEVER : over_ms;
        }
        after = count_of(before) > 0 ? begin(now_ms) : NOT_FOLDING;
    } while (!atomic_compare_exchange_weak_explicit(&kind->folding, &before, after,
                                                    memory_order_relaxed, memory_order_relaxed));
    ret_sum->count = count_of(before);
    ret_sum->interval_ms = now_ms - begun_ms(before);
    return after == NOT_FOLDING ? TALLY_NEVER : now_ms + interval_ms;
}

static uint64_t tell_kind(struct kind *kind, uint64_t now_ms, uint64_t interval_ms,
                          struct tally_sum *sum, tally_teller *tell, void *ctx)
{
    uint64_t next_ms = take(kind, now_ms, interval_ms, sum);
    if (sum->count > 0) {
        char *detail = atomic_exchange_explicit(&kind->detail, NULL, memory_order_acquire);
        sum->detail = detail;
        tell(ctx, sum);
        free(detail);
    }
    return next_ms;
}

uint64_t tally_tell(struct tally *tally, uint64_t now_ms, uint64_t interval_ms, tally_teller *tell,
                    void *ctx)
{
    /* Lowered before the look, so that a folding that begins behind it raises it again. */
    if (!atomic_exchange_explicit(&tally->is_folding, false, memory_order_acquire)) {
        return TALLY_NEVER;
    }
    struct kinds *kinds = atomic_load_explicit(&tally->kinds, memory_order_acquire);
    uint64_t first_ms = TALLY_NEVER;
    for (size_t i = 0; i < 2 * (size_t)REASON_COUNT; i++) {
        struct tally_sum sum = {.reason = (enum reason)(i / 2), .by_peer = i % 2 == 1};
        struct kind *kind = &kinds->of[sum.reason][sum.by_peer];
        uint64_t next_ms = tell_kind(kind, now_ms, interval_ms, &sum, tell, ctx);
        first_ms = next_ms < first_ms ? next_ms : first_ms;
    }
    if (first_ms != TALLY_NEVER) {
        atomic_store_explicit(&tally->is_folding, true, memory_order_relaxed);
    }
    return first_ms;
}
