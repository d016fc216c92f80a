#include "worker/warm.h"

#include "base/list.h"
#include "base/log.h"
#include "worker/deadline.h"
#include "worker/demand.h"
#include "worker/spare.h"
#include "worker/worker_fields.h"

#include <stdlib.h>

/* Made at once, however many are missing. */
#define MAKING_MAX 32

/* A backend that fails is tried again after this long, twice as long each time. */
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 30000

/* How often demand is looked at while there is some, and whether all is well again. */
#define LOOK_MS 1000

/* A backend that closes sessions younger than this does not want them. */
#define YOUNG_MS 1000

struct warm {
    struct worker *worker;
    struct service *service;     /* a reference */
    struct endpoints *endpoints; /* a reference; NULL: not known yet */
    struct list ready, making;   /* spares, the oldest first */
    size_t n_ready, n_making;
    size_t turn; /* the endpoint to be tried first */

    struct demand demand;
    struct deadline *look; /* the next time that something is to be done */
    uint64_t max_age_ms;   /* the service's, or less, where the backend closes sooner */
    uint64_t retry_ms;     /* not before, on uv_now(), after a failure */
    uint64_t failed_ms;    /* the last failure */
    unsigned failures;     /* in a row */
    bool is_telling;       /* of failures: the first one of a row was told */
};

static uint64_t now_of(const struct warm *warm)
{
    return uv_now(&warm->worker->loop);
}

static void bump(_Atomic(uint64_t) *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

/* From `share`/100 of it up to all of it, by chance: what was begun together must not end together.
 */
static uint64_t spread(uint64_t ms, uint64_t share)
{
    uint16_t chance = 0;
    (void)uv_random(NULL, NULL, &chance, sizeof(chance), 0, NULL);
    uint64_t least = ms * share / 100;
    return least + (ms - least) * chance / UINT16_MAX;
}

/* ---- failures ---- */

/* The first of a row. */
static void tell(struct warm *warm, const struct failure *failure, const char *detail,
                 const char *advice)
{
    struct log_line line;
    if (warm->is_telling) {
        return;
    }
    warm->is_telling = true;
    log_begin(&line, LEVEL_WARNING, "no session can be kept ready");
    log_text(&line, "service", warm->service->name);
    log_reason(&line, failure->reason, failure->by_peer);
    log_text(&line, "detail", detail);
    log_text(&line, "advice", advice);
    log_end(&line);
}

/* With jitter, so that many agents do not come back to a backend at once. */
static void pause_making(struct warm *warm)
{
    uint64_t pause = PAUSE_MAX_MS;
    warm->failed_ms = now_of(warm);
    if (warm->failed_ms < warm->retry_ms) {
        return; /* those that were begun together fail together */
    }
    if (warm->failures < 6) {
        pause = (uint64_t)PAUSE_MIN_MS << warm->failures;
    }
    warm->failures++;
    warm->retry_ms = warm->failed_ms + spread(pause, 50);
}

static void note_failure(struct warm *warm, const struct failure *failure)
{
    bump(&warm->service->account->warm.failed);
    tell(warm, failure, failure->detail, reason_advice(failure->reason));
    pause_making(warm);
}

static void forget_failures(struct warm *warm)
{
    warm->failures = 0;
    warm->is_telling = false;
    warm->retry_ms = 0;
}

void warm_encourage(struct warm *warm)
{
    if (warm->failures > 0) {
        forget_failures(warm);
        deadline_set(warm->look, 0);
    }
}

/* ---- spares come and go ---- */

static void drop(struct warm *warm, struct spare *spare, _Atomic(uint64_t) *count)
{
    if (spare_is_ready(spare)) {
        warm->n_ready--;
        atomic_fetch_sub_explicit(&warm->service->account->warm.ready, 1, memory_order_relaxed);
        bump(count);
    } else {
        warm->n_making--;
    }
    spare_free(spare);
}

/* A backend's own idle limit shows by its closing: from then on sessions are given up before it.
 * Where they do not last at all, to make more of them would only trouble it. */
static void note_close(struct warm *warm, const struct spare *spare, const struct failure *failure)
{
    uint64_t age = now_of(warm) - spare_born_ms(spare);
    if (age < YOUNG_MS) {
        tell(warm, failure, "the backend ends sessions at once on which nothing is said",
             "set prewarm = 0 for this service");
        pause_making(warm);
    } else if (age * 3 / 4 < warm->max_age_ms) {
        warm->max_age_ms = age * 3 / 4;
    }
}

/* A session that was of use, or lived long enough for that, shows that the backend is well again,
 * if it is younger than what went wrong. */
static void note_proof(struct warm *warm, const struct spare *spare)
{
    if (spare_born_ms(spare) > warm->failed_ms) {
        forget_failures(warm);
    }
}

/* The backend has let it live so long. What looked like its limit may have been a restart. */
static void note_end(struct warm *warm, const struct spare *spare)
{
    uint64_t most = warm->service->prewarm_max_age_ms;
    uint64_t more = warm->max_age_ms + warm->max_age_ms / 16 + 1;
    warm->max_age_ms = more < most ? more : most;
    note_proof(warm, spare);
}

static void on_ready(void *ctx, struct spare *spare)
{
    struct warm *warm = ctx;
    struct list *link = spare_link(spare);
    list_remove(link);
    list_append(&warm->ready, link);
    warm->n_making--;
    warm->n_ready++;
    atomic_fetch_add_explicit(&warm->service->account->warm.ready, 1, memory_order_relaxed);
    demand_note_made(&warm->demand, now_of(warm) - spare_born_ms(spare));
    deadline_set(warm->look, 0);
}

static void on_lost(void *ctx, struct spare *spare, const struct failure *failure)
{
    struct warm *warm = ctx;
    if (spare_is_ready(spare)) {
        note_close(warm, spare, failure);
    } else {
        note_failure(warm, failure);
    }
    drop(warm, spare, &warm->service->account->warm.closed);
    deadline_set(warm->look, 0);
}

/* ---- as many as there should be ---- */

/* None with a certificate of ours that has run out: nothing that rests on it is handed out. */
static size_t target_of(struct warm *warm)
{
    if (profile_has_run_out(warm->service->profile, time(NULL))) {
        return 0;
    }
    return warm->service->prewarm_auto
               ? demand_target(&warm->demand, now_of(warm), warm->max_age_ms)
               : warm->service->prewarm;
}

static uint64_t end_of(const struct warm *warm, const struct spare *spare)
{
    uint64_t oldest = spare_born_ms(spare) + warm->max_age_ms;
    return spare_until_ms(spare) < oldest ? spare_until_ms(spare) : oldest;
}

static void drop_aged(struct warm *warm)
{
    LIST_EACH_SAFE (link, &warm->ready) {
        struct spare *spare = spare_of(link);
        if (now_of(warm) >= end_of(warm, spare)) {
            note_end(warm, spare);
            drop(warm, spare, &warm->service->account->warm.aged);
        }
    }
}

static void drop_surplus(struct warm *warm, size_t target)
{
    while (warm->n_ready > target) {
        drop(warm, spare_of(warm->ready.next), &warm->service->account->warm.dropped);
    }
}

/* After a failure one session goes ahead, and the others wait until it has proved itself. */
static bool is_probing(const struct warm *warm)
{
    bool has_one = warm->n_making > 0;
    LIST_EACH (link, &warm->ready) {
        has_one |= spare_born_ms(spare_of(link)) > warm->failed_ms;
    }
    return warm->failures > 0 && has_one;
}

static bool may_make(const struct warm *warm)
{
    return warm->endpoints != NULL && warm->endpoints->n > 0 && !warm->worker->draining &&
           now_of(warm) >= warm->retry_ms && warm->n_making < MAKING_MAX && !is_probing(warm);
}

static void make_one(struct warm *warm)
{
    if (!worker_has_descriptor(warm->worker->most_fds / 2)) {
        warm->retry_ms = now_of(warm) + LOOK_MS; /* the others are for callers */
        return;
    }
    static const struct spare_events events = {on_ready, on_lost};
    struct failure failure;
    struct spare *spare = spare_start(warm->worker, warm->service, warm->endpoints, warm->turn++,
                                      &events, warm, &failure);
    if (spare == NULL) {
        note_failure(warm, &failure);
        return;
    }
    spare_set_until(spare, now_of(warm) + spread(warm->max_age_ms, 75));
    list_append(&warm->making, spare_link(spare));
    warm->n_making++;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Nothing is to be done for a service that nobody calls. */
static void set_look(struct warm *warm, size_t target)
{
    uint64_t now = now_of(warm), at = UINT64_MAX;
    LIST_EACH (link, &warm->ready) {
        at = sooner(at, end_of(warm, spare_of(link)));
    }
    if (warm->n_ready + warm->n_making < target && warm->retry_ms > now) {
        at = sooner(at, warm->retry_ms);
    }
    if (target > 0 && (warm->service->prewarm_auto || warm->failures > 0)) {
        at = sooner(at, now + LOOK_MS);
    }
    if (at != UINT64_MAX) {
        deadline_set(warm->look, at > now ? at - now : 0);
    }
}

/* A session that is ready is no success as long as the backend may not have meant it. */
static void look_for_proof(struct warm *warm)
{
    LIST_EACH (link, &warm->ready) {
        const struct spare *spare = spare_of(link);
        if (warm->failures > 0 && now_of(warm) >= spare_born_ms(spare) + YOUNG_MS) {
            note_proof(warm, spare);
        }
    }
}

static void on_look(void *ctx)
{
    struct warm *warm = ctx;
    size_t target = target_of(warm);
    look_for_proof(warm);
    drop_aged(warm);
    drop_surplus(warm, target);
    while (warm->n_ready + warm->n_making < target && may_make(warm)) {
        make_one(warm);
    }
    set_look(warm, target);
}

/* ---- for the worker ---- */

bool warm_is_wanted(const struct service *service)
{
    return service->prewarm_auto || service->prewarm > 0;
}

struct warm *warm_new(struct worker *worker, struct service *service)
{
    struct warm *warm = calloc(1, sizeof(*warm));
    if (warm == NULL) {
        return NULL;
    }
    warm->worker = worker;
    warm->service = service_ref(service);
    warm->max_age_ms = service->prewarm_max_age_ms;
    list_init(&warm->ready);
    list_init(&warm->making);
    warm->look = deadline_new(&worker->loop, on_look, warm);
    return warm->look != NULL ? warm : warm_free(warm);
}

static bool leads_to(const struct spare *spare, const struct endpoints *endpoints)
{
    for (size_t i = 0; i < endpoints->n; i++) {
        if (addr_equal(spare_addr(spare), &endpoints->list[i].addr)) {
            return true;
        }
    }
    return false;
}

/* One that is still being made has nothing to lose. */
static void drop_elsewhere(struct warm *warm)
{
    _Atomic(uint64_t) *dropped = &warm->service->account->warm.dropped;
    LIST_EACH_SAFE (making, &warm->making) {
        drop(warm, spare_of(making), dropped);
    }
    LIST_EACH_SAFE (ready, &warm->ready) {
        if (!leads_to(spare_of(ready), warm->endpoints)) {
            drop(warm, spare_of(ready), dropped);
        }
    }
}

void warm_resolve(struct warm *warm, struct endpoints *endpoints)
{
    endpoints_unref(warm->endpoints);
    warm->endpoints = endpoints_ref(endpoints);
    warm->failures = 0;
    warm->retry_ms = 0;
    drop_elsewhere(warm);
    deadline_set(warm->look, 0);
}

bool warm_take(struct warm *warm, struct upstream *ret_upstream)
{
    struct account_warm *counts = &warm->service->account->warm;
    demand_note_caller(&warm->demand, now_of(warm));
    deadline_set(warm->look, 0);
    drop_aged(warm);
    while (!list_empty(&warm->ready)) {
        struct spare *spare = spare_of(warm->ready.next);
        if (!spare_is_current(spare)) {
            drop(warm, spare, &counts->aged);
        } else if (!spare_is_open(spare)) {
            drop(warm, spare, &counts->closed);
        } else {
            warm->n_ready--;
            atomic_fetch_sub_explicit(&counts->ready, 1, memory_order_relaxed);
            bump(&counts->used);
            note_proof(warm, spare);
            spare_take(spare, ret_upstream);
            return true;
        }
    }
    return false;
}

struct warm *warm_free(struct warm *warm)
{
    if (warm == NULL) {
        return NULL;
    }
    while (!list_empty(&warm->making)) {
        drop(warm, spare_of(warm->making.next), &warm->service->account->warm.dropped);
    }
    drop_surplus(warm, 0);
    deadline_free(warm->look);
    endpoints_unref(warm->endpoints);
    service_unref(warm->service);
    free(warm);
    return NULL;
}
