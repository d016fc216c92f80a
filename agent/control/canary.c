#include "control/canary.h"

#include "control/trial.h"
#include "worker/deadline.h"
#include "worker/scratch.h"

#include <stdlib.h>

/* Trials under way at a time: a thousand services must not become a thousand sockets. */
#define TOGETHER 64

#define PATIENCE_MS 30000

struct canary {
    uv_loop_t *loop;
    struct scratch scratch;
    struct deadline *deadline;
    canary_done *done;
    void *ctx;

    struct canary_trial *reports;
    struct trial **trials; /* one for each; NULL: over, or not begun */
    size_t n, n_begun, n_running;
};

static void drop(struct canary *canary, const struct trial *trial)
{
    for (size_t i = 0; i < canary->n_begun; i++) {
        if (canary->trials[i] == trial) {
            canary->trials[i] = trial_cancel(canary->trials[i]);
            canary->n_running--;
        }
    }
}

static void on_tried(void *ctx, struct trial *trial);

static void begin_more(struct canary *canary)
{
    while (canary->n_running < TOGETHER && canary->n_begun < canary->n) {
        size_t i = canary->n_begun++;
        canary->trials[i] =
            trial_start(canary->loop, &canary->scratch, &canary->reports[i], on_tried, canary);
        canary->n_running += canary->trials[i] != NULL;
    }
}

/* To be the last thing that a callback does: the canary may be gone when it returns. */
static void settle(struct canary *canary)
{
    if (canary->n_running == 0) {
        deadline_clear(canary->deadline);
        canary->done(canary->ctx, canary->reports, canary->n);
    }
}

static void on_tried(void *ctx, struct trial *trial)
{
    struct canary *canary = ctx;
    drop(canary, trial);
    begin_more(canary);
    settle(canary);
}

/* What is under way keeps what it has found so far. */
static void on_deadline(void *ctx)
{
    struct canary *canary = ctx;
    for (size_t i = 0; i < canary->n_begun; i++) {
        canary->trials[i] = trial_cancel(canary->trials[i]);
    }
    canary->n_running = 0;
    canary->n_begun = canary->n;
    settle(canary);
}

/* ---- life ---- */

static void copy(struct canary *canary, const struct canary_trial *trials, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct canary_trial *report = &canary->reports[i];
        *report = (struct canary_trial){
            .old = service_ref(trials[i].old),
            .new = service_ref(trials[i].new),
            .endpoints = trials[i].endpoints != NULL ? endpoints_ref(trials[i].endpoints) : NULL,
            .is_required = trials[i].is_required,
        };
        failure_set(&report->failure, REASON_handshake_timeout, "its turn did not come in time");
    }
    canary->n = n;
}

struct canary *canary_start(uv_loop_t *loop, const struct canary_trial *trials, size_t n,
                            canary_done *done, void *ctx)
{
    struct canary *canary = calloc(1, sizeof(*canary));
    if (canary == NULL) {
        return NULL;
    }
    canary->loop = loop;
    canary->done = done;
    canary->ctx = ctx;
    canary->reports = calloc(n + 1, sizeof(*canary->reports));
    canary->trials = calloc(n + 1, sizeof(struct trial *));
    canary->deadline = deadline_new(loop, on_deadline, canary);
    if (scratch_init(&canary->scratch) < 0 || canary->reports == NULL || canary->trials == NULL ||
        canary->deadline == NULL) {
        return canary_cancel(canary);
    }
    copy(canary, trials, n);
    begin_more(canary);
    deadline_set(canary->deadline, canary->n_running > 0 ? PATIENCE_MS : 0);
    return canary;
}

static void give_back(struct canary *canary)
{
    if (canary->reports == NULL || canary->trials == NULL) {
        return; /* nothing was copied yet */
    }
    for (size_t i = 0; i < canary->n; i++) {
        trial_cancel(canary->trials[i]);
        service_unref(canary->reports[i].old);
        service_unref(canary->reports[i].new);
        endpoints_unref(canary->reports[i].endpoints);
    }
}

struct canary *canary_cancel(struct canary *canary)
{
    if (canary == NULL) {
        return NULL;
    }
    give_back(canary);
    deadline_free(canary->deadline);
    scratch_release(&canary->scratch);
    free(canary->reports);
    free(canary->trials);
    free(canary);
    return NULL;
}
