#include "worker/warm.h"

#include "base/clock.h"
#include "base/list.h"
#include "worker/deadline.h"
#include "worker/demand.h"
#include "worker/experience.h"
#include "worker/spare.h"
#include "worker/worker_fields.h"

#include <stdlib.h>

/* Made at once, however many are missing: for one service, and for all of a worker, whose callers
 * must not wait behind them. */
#define MAKING_MAX     32
#define MAKING_ALL_MAX 256

/* Then the others wait their turn. */
#define TURN_MS 200

/* After which sessions that are being closed have given descriptors back. */
#define MOMENT_MS 10

/* How often demand is looked at while there is some, and whether all is well again. */
#define LOOK_MS 1000

struct warm {
    struct worker *worker;
    struct service *service;     /* a reference */
    struct endpoints *endpoints; /* a reference; NULL: not known yet */
    struct list ready, making;   /* spares, the oldest first */
    size_t n_ready, n_making;
    size_t turn; /* the endpoint to be tried first */

    struct demand demand;
    struct experience experience;
    struct deadline *look; /* the next time that something is to be done */
    bool has_made;         /* one that became ready: until then one goes ahead */
    bool is_due;           /* `look` is set to the next turn */
    uint64_t put_off_ms;   /* none is begun before, for want of descriptors */
};

static uint64_t now_of(const struct warm *warm)
{
    return uv_now(&warm->worker->loop);
}

static uint64_t later(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

static void bump(_Atomic(uint64_t) *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static bool is_short(const struct warm *warm, size_t target)
{
    return warm->n_ready + warm->n_making < target;
}

/* At the next turn, however often it is asked for. */
static void look_soon(struct warm *warm)
{
    if (!warm->is_due) {
        warm->is_due = true;
        deadline_set(warm->look, 0);
    }
}

void warm_encourage(struct warm *warm)
{
    if (experience_encourage(&warm->experience)) {
        look_soon(warm);
    }
}

/* ---- spares come and go ---- */

static void drop_ready(struct warm *warm, struct spare *spare, _Atomic(uint64_t) *count)
{
    warm->n_ready--;
    atomic_fetch_sub_explicit(&warm->service->account->warm.ready, 1, memory_order_relaxed);
    bump(count);
    spare_retire(spare);
    if (warm->worker->leaving != NULL) {
        trickle_add(warm->worker->leaving, spare_link(spare));
    } else {
        spare_free(spare);
    }
}

static void end_making(struct warm *warm)
{
    warm->n_making--;
    warm->worker->n_spares_begun--;
}

static void drop_making(struct warm *warm, struct spare *spare)
{
    end_making(warm);
    spare_free(spare);
}

static void note_close(struct warm *warm, const struct spare *spare, const struct failure *failure)
{
    experience_note_close(&warm->experience, now_of(warm), spare_life(spare), spare_addr(spare),
                          failure);
}

static void note_failure(struct warm *warm, const struct addr *addr, const struct failure *failure)
{
    bump(&warm->service->account->warm.failed);
    experience_note_failure(&warm->experience, now_of(warm), addr, failure);
}

static void on_ready(void *ctx, struct spare *spare)
{
    struct warm *warm = ctx;
    struct list *link = spare_link(spare);
    const struct life *life = spare_life(spare);
    spare_set_until(spare, life->up_ms + backoff_jitter(warm->experience.max_age_ms, 75));
    list_remove(link);
    list_append(&warm->ready, link);
    end_making(warm);
    warm->has_made = true;
    warm->n_ready++;
    atomic_fetch_add_explicit(&warm->service->account->warm.ready, 1, memory_order_relaxed);
    demand_note_made(&warm->demand, now_of(warm) - life->begun_ms);
    look_soon(warm);
}

static void on_lost(void *ctx, struct spare *spare, const struct failure *failure)
{
    struct warm *warm = ctx;
    if (spare_is_ready(spare)) {
        note_close(warm, spare, failure);
        drop_ready(warm, spare, &warm->service->account->warm.closed);
    } else {
        note_failure(warm, spare_addr(spare), failure);
        drop_making(warm, spare);
    }
    look_soon(warm);
}

/* ---- as many as there should be ---- */

/* None with a certificate of ours that has run out: nothing that rests on it is handed out. */
static size_t target_of(struct warm *warm)
{
    if (profile_has_run_out(warm->service->profile, time(NULL))) {
        return 0;
    }
    return warm->service->prewarm_auto
               ? demand_target(&warm->demand, now_of(warm), warm->experience.max_age_ms)
               : warm->service->prewarm;
}

static uint64_t end_of(const struct warm *warm, const struct spare *spare)
{
    return clock_sooner(spare_until_ms(spare),
                        spare_life(spare)->up_ms + warm->experience.max_age_ms);
}

static bool is_old(const struct warm *warm, const struct spare *spare)
{
    return now_of(warm) >= end_of(warm, spare);
}

static bool is_over(const struct warm *warm, const struct spare *spare)
{
    return is_old(warm, spare) || !spare_is_current(spare);
}

static void drop_aged(struct warm *warm)
{
    LIST_EACH_SAFE (link, &warm->ready) {
        struct spare *spare = spare_of(link);
        if (is_old(warm, spare)) {
            experience_note_age(&warm->experience, now_of(warm), spare_life(spare));
        }
        if (is_over(warm, spare)) {
            drop_ready(warm, spare, &warm->service->account->warm.aged);
        }
    }
}

/* What chance has asked for is not given up with the first chance that does not. */
static size_t most_of(const struct warm *warm, size_t target)
{
    return warm->service->prewarm_auto && target > 0 ? target + 1 + target / 4 : target;
}

static void drop_surplus(struct warm *warm, size_t most)
{
    while (warm->n_ready > most) {
        drop_ready(warm, spare_of(warm->ready.next), &warm->service->account->warm.dropped);
    }
}

/* After a failure one session goes ahead, and the others wait until it has proved itself. */
static bool is_probing(const struct warm *warm)
{
    bool has_one = warm->n_making > 0;
    LIST_EACH (link, &warm->ready) {
        has_one |= experience_would_prove(&warm->experience, spare_life(spare_of(link)));
    }
    return experience_is_bad(&warm->experience) && has_one;
}

/* Where callers wait for signatures, one for nobody would wait until they have theirs. */
static bool must_yield(const struct warm *warm)
{
    return profile_signs_slowly(warm->service->profile) && jobs_have_callers(warm->worker->jobs);
}

static bool may_make(const struct warm *warm)
{
    return warm->endpoints != NULL && warm->endpoints->n > 0 && !warm->worker->draining &&
           now_of(warm) >= warm->put_off_ms && !must_yield(warm) &&
           experience_may_try(&warm->experience, now_of(warm)) &&
           warm->n_making < (warm->has_made ? MAKING_MAX : 1) &&
           warm->worker->n_spares_begun < MAKING_ALL_MAX && !is_probing(warm);
}

/* The other half is for callers. Sessions that are leaving may make room in a moment. */
static bool has_descriptor(struct warm *warm)
{
    const struct worker *worker = warm->worker;
    bool has_one = worker_has_descriptor(worker->most_fds / 2);
    if (!has_one) {
        bool is_moving = worker->leaving != NULL && !trickle_is_empty(worker->leaving);
        warm->put_off_ms = now_of(warm) + (is_moving ? MOMENT_MS : LOOK_MS);
    }
    return has_one;
}

static void make_one(struct warm *warm)
{
    static const struct spare_events events = {on_ready, on_lost};
    struct failure failure;
    struct spare *spare = spare_start(warm->worker, warm->service, warm->endpoints, warm->turn++,
                                      &events, warm, &failure);
    if (spare == NULL) {
        note_failure(warm, &(struct addr){0}, &failure);
        return;
    }
    list_append(&warm->making, spare_link(spare));
    warm->n_making++;
    warm->worker->n_spares_begun++;
}

/* When one that is missing may be begun. */
static uint64_t retry_of(const struct warm *warm)
{
    uint64_t now = now_of(warm), at = warm->put_off_ms;
    if (!experience_may_try(&warm->experience, now)) {
        at = later(at, experience_retry_ms(&warm->experience));
    }
    if (warm->worker->n_spares_begun >= MAKING_ALL_MAX || must_yield(warm)) {
        at = later(at, now + backoff_jitter(TURN_MS, 50));
    }
    return at > now ? at : UINT64_MAX; /* who is being made will tell */
}

/* Nothing is to be done for a service that nobody calls. */
static void set_look(struct warm *warm, size_t target)
{
    uint64_t now = now_of(warm), at = UINT64_MAX;
    LIST_EACH (link, &warm->ready) {
        at = clock_sooner(at, end_of(warm, spare_of(link)));
    }
    if (is_short(warm, target)) {
        at = clock_sooner(at, retry_of(warm));
    }
    if (target > 0 && (warm->service->prewarm_auto || experience_is_bad(&warm->experience))) {
        at = clock_sooner(at, now + LOOK_MS);
    }
    if (at != UINT64_MAX) {
        deadline_set(warm->look, at > now ? at - now : 0);
    }
}

/* A session that is ready is no success as long as the backend may not have meant it. */
static void look_for_proof(struct warm *warm)
{
    LIST_EACH (link, &warm->ready) {
        const struct life *life = spare_life(spare_of(link));
        if (experience_is_lasting(now_of(warm), life)) {
            experience_note_proof(&warm->experience, life);
        }
    }
}

static void on_look(void *ctx)
{
    struct warm *warm = ctx;
    size_t target = target_of(warm);
    warm->is_due = false;
    look_for_proof(warm);
    drop_aged(warm);
    drop_surplus(warm, most_of(warm, target));
    while (is_short(warm, target) && may_make(warm) && has_descriptor(warm)) {
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
    experience_init(&warm->experience, service);
    list_init(&warm->ready);
    list_init(&warm->making);
    warm->look = deadline_new(&worker->loop, on_look, warm);
    return warm->look != NULL ? warm : warm_free(warm);
}

/* One that is still being made has nothing to lose. */
static void drop_elsewhere(struct warm *warm)
{
    LIST_EACH_SAFE (making, &warm->making) {
        drop_making(warm, spare_of(making));
    }
    LIST_EACH_SAFE (ready, &warm->ready) {
        if (!spare_leads_to(spare_of(ready), warm->endpoints)) {
            drop_ready(warm, spare_of(ready), &warm->service->account->warm.dropped);
        }
    }
}

void warm_resolve(struct warm *warm, struct endpoints *endpoints)
{
    bool is_same = warm->endpoints != NULL && endpoints_match(warm->endpoints, endpoints);
    endpoints_ref(endpoints);
    endpoints_unref(warm->endpoints);
    warm->endpoints = endpoints;
    if (!is_same) {
        drop_elsewhere(warm);
        experience_start_over(&warm->experience);
    }
    look_soon(warm);
}

bool warm_take(struct warm *warm, struct upstream *ret_upstream)
{
    struct account_warm *counts = &warm->service->account->warm;
    demand_note_caller(&warm->demand, now_of(warm));
    look_soon(warm);
    while (!list_empty(&warm->ready)) {
        struct spare *spare = spare_of(warm->ready.next);
        if (is_over(warm, spare)) {
            drop_ready(warm, spare, &counts->aged);
        } else if (!spare_is_open(spare)) {
            drop_ready(warm, spare, &counts->closed);
        } else {
            warm->n_ready--;
            atomic_fetch_sub_explicit(&counts->ready, 1, memory_order_relaxed);
            bump(&counts->used);
            experience_note_proof(&warm->experience, spare_life(spare));
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
        drop_making(warm, spare_of(warm->making.next));
    }
    drop_surplus(warm, 0);
    deadline_free(warm->look);
    endpoints_unref(warm->endpoints);
    service_unref(warm->service);
    free(warm);
    return NULL;
}
