#include "control/reload.h"

#include "base/log.h"
#include "control/canary.h"
#include "control/capacity.h"
#include "control/control_fields.h"
#include "control/notify.h"
#include "control/prefetch.h"
#include "control/verdicts.h"
#include "worker/deadline.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

/* How long a reload waits for CRLs that it has to download first. */
#define FETCH_MS 5000

enum reload_kind { RELOAD_ALL, RELOAD_FILES };

struct reload {
    struct control *control;
    struct outcome last;

    /* Asked for, and not begun. */
    bool wants_all, wants_files;
    struct list waiting;

    /* Under way. */
    bool is_busy, is_reading;
    bool is_settling; /* the workers are still at it */
    struct changeover_counts counts;
    bool is_ending;
    bool is_orphan;  /* to be freed when it has been read */
    bool owes_files; /* a reload of files came to nothing, for want of memory */
    enum reload_kind kind;
    struct list served; /* who waits for this one */
    uv_work_t work;
    struct snapshot *next;
    struct problems *problems;
    struct config *config; /* that the problems point into, when there is no `next` */
    struct canary *canary;
    struct crl_fetch fetch;    /* what the reading waits for */
    struct deadline *patience; /* with it */
};

static void begin_next(struct reload *reload);

/* ---- telling ---- */

static void tell(struct list *waiters, const struct outcome *outcome)
{
    while (!list_empty(waiters)) {
        struct reload_waiter *waiter = list_item(waiters->next, struct reload_waiter, link);
        list_remove(&waiter->link);
        waiter->done(waiter->ctx, outcome);
    }
}

static void notify(const struct reload *reload, const struct outcome *outcome)
{
    char status[512];
    if (outcome->is_refused) {
        snprintf(status, sizeof(status), "Reload refused: %s",
                 outcome->n_faults > 0 ? outcome->faults[0] : "out of memory");
    } else {
        snprintf(status, sizeof(status), "Serving %zu services",
                 reload->control->snapshot->config->n_services);
    }
    notify_ready(status);
}

/* ---- ending ---- */

static void drop_reading(struct reload *reload)
{
    reload->canary = canary_cancel(reload->canary);
    reload->next = snapshot_free(reload->next);
    reload->problems = problems_free(reload->problems);
    reload->config = config_free(reload->config);
}

static void finish_files(struct reload *reload, bool is_done)
{
    reload->owes_files = !is_done;
    if (reload->problems != NULL) {
        problems_log(reload->problems, true);
    }
    if (!is_done) {
        log_message(LEVEL_ERROR, "changed files were not read: trying again soon");
    }
}

static void finish_all(struct reload *reload, const struct changeover_counts *counts)
{
    struct outcome *last = &reload->last;
    outcome_release(last);
    if (reload->problems != NULL) {
        outcome_note(last, reload->problems);
    }
    last->is_refused = counts == NULL;
    last->when = time(NULL);
    last->generation = reload->control->generation;
    last->counts = counts != NULL ? *counts : (struct changeover_counts){0};
    outcome_log(last);
    notify(reload, last);
}

/* The old snapshot lies between what is in use, free but still ours. */
static void give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* The one way out of a reload that came to its end. */
static void finish(struct reload *reload, const struct changeover_counts *counts)
{
    reload->is_busy = false;
    if (reload->kind == RELOAD_FILES) {
        finish_files(reload, counts != NULL);
    } else {
        finish_all(reload, counts);
    }
    drop_reading(reload);
    if (reload->kind == RELOAD_ALL) {
        give_back();
    }
    tell(&reload->served, &reload->last);
    begin_next(reload);
}

static void change_over(struct reload *reload)
{
    struct control *control = reload->control;
    unsigned workers = reload->next->config->agent.workers;
    reload->counts = changeover_count(control->snapshot, reload->next);
    if (reload->kind == RELOAD_ALL &&
        (workers > 0 ? workers : capacity_cpus()) != crew_size(control->crew)) {
        problems_warning(reload->problems, reload->next->config->agent.workers_place,
                         "workers has changed: that takes effect when the agent is started anew");
    }
    if (reload->kind == RELOAD_FILES) {
        verdicts_log(control->snapshot, reload->next);
    }
    if (changeover(control, reload->next, reload->problems) < 0) {
        finish(reload, NULL);
        return;
    }
    reload->next = NULL; /* in use */
    reload->is_settling = true;
    reload_settle(reload);
}

void reload_settle(struct reload *reload)
{
    if (reload->is_settling && crew_is_settled(reload->control->crew)) {
        reload->is_settling = false;
        finish(reload, &reload->counts);
    }
}

/* ---- trying out ---- */

static void on_tried(void *ctx, struct canary_trial *trials, size_t n)
{
    struct reload *reload = ctx;
    size_t errors = problems_errors(reload->problems);
    if (reload->kind == RELOAD_ALL) {
        verdicts_refuse(reload->control->snapshot, reload->next, trials, n, reload->problems);
    } else {
        verdicts_hold(reload->control->snapshot, reload->next, trials, n, reload->problems);
    }
    bool is_refused = problems_errors(reload->problems) > errors;
    if (!is_refused) {
        verdicts_log_unasked(reload->next, trials, n);
    }
    reload->canary = canary_cancel(reload->canary);
    if (is_refused) {
        finish(reload, NULL);
    } else {
        change_over(reload);
    }
}

static void try_out(struct reload *reload)
{
    size_t n = 0;
    struct canary_trial *trials =
        verdicts_needed(reload->control->snapshot, reload->next, reload->control->resolver, &n);
    if (trials != NULL && n > 0) {
        reload->canary = canary_start(&reload->control->loop, trials, n, on_tried, reload);
    }
    bool is_whole = trials != NULL && (n == 0 || reload->canary != NULL);
    free(trials);
    if (!is_whole) {
        problems_error(reload->problems, (struct place){reload->control->file, 0}, "out of memory");
        finish(reload, NULL);
    } else if (n == 0) {
        change_over(reload);
    }
}

/* ---- reading ---- */

/* A second time, if CRLs have come that nobody had. */
static void read_all(struct reload *reload, const struct snapshot *before)
{
    const char *file = reload->control->file;
    const struct ledger *ledger = &reload->control->ledger;
    reload->next = snapshot_load(file, before, ledger, reload->problems, &reload->config);
    if (reload->next != NULL &&
        prefetch_crls(before->config, reload->next->config, &reload->fetch)) {
        snapshot_free(reload->next);
        reload->next = snapshot_load(file, before, ledger, reload->problems, &reload->config);
    }
}

/* On a thread of the pool; neither the snapshot in use nor the ledger changes while this runs. */
static void on_work(uv_work_t *work)
{
    struct reload *reload = work->data;
    const struct snapshot *before = reload->control->snapshot;
    if (reload->kind == RELOAD_ALL) {
        read_all(reload, before);
    } else {
        reload->next = snapshot_refresh(before);
    }
}

static void on_read(uv_work_t *work, int status)
{
    struct reload *reload = work->data;
    (void)status;
    reload->is_reading = false;
    deadline_clear(reload->patience);
    if (reload->is_ending) {
        drop_reading(reload);
        if (reload->is_orphan) {
            reload_free(reload);
        }
    } else if (reload->next != NULL) {
        try_out(reload);
    } else {
        finish(reload, NULL);
    }
}

static void begin(struct reload *reload, enum reload_kind kind)
{
    reload->kind = kind;
    reload->is_busy = true;
    if (kind == RELOAD_ALL) {
        notify_reloading();
        while (!list_empty(&reload->waiting)) {
            struct list *waiter = reload->waiting.next;
            list_remove(waiter);
            list_append(&reload->served, waiter);
        }
    }
    reload->problems = problems_new();
    reload->work.data = reload;
    if (reload->problems == NULL) {
        finish(reload, NULL);
    } else {
        reload->is_reading = true;
        atomic_store(&reload->fetch.cancelled, false);
        deadline_set(reload->patience, FETCH_MS);
        uv_queue_work(&reload->control->loop, &reload->work, on_work, on_read);
    }
}

static void begin_next(struct reload *reload)
{
    if (reload->is_busy || reload->is_ending) {
        return;
    }
    if (reload->wants_all) {
        reload->wants_all = false;
        begin(reload, RELOAD_ALL);
    } else if (reload->wants_files) {
        reload->wants_files = false;
        begin(reload, RELOAD_FILES);
    }
}

static void on_patience_over(void *ctx)
{
    struct reload *reload = ctx;
    atomic_store(&reload->fetch.cancelled, true);
}

/* ---- life ---- */

struct reload *reload_new(struct control *control)
{
    struct reload *reload = calloc(1, sizeof(*reload));
    if (reload == NULL) {
        return NULL;
    }
    reload->control = control;
    list_init(&reload->waiting);
    list_init(&reload->served);
    reload->patience = deadline_new(&control->loop, on_patience_over, reload);
    return reload->patience != NULL ? reload : reload_free(reload);
}

/* Files that are only tried out can wait; whoever asks for a reload, does. */
static void give_way(struct reload *reload)
{
    if (reload->is_busy && reload->kind == RELOAD_FILES && reload->canary != NULL) {
        drop_reading(reload);
        reload->is_busy = false;
        reload->wants_files = true;
    }
}

void reload_request(struct reload *reload, struct reload_waiter *waiter)
{
    if (waiter != NULL) {
        list_append(&reload->waiting, &waiter->link);
    }
    if (reload->is_ending) {
        tell(&reload->waiting, NULL);
        return;
    }
    reload->wants_all = true;
    give_way(reload);
    begin_next(reload);
}

void reload_request_files(struct reload *reload)
{
    reload->wants_files = true;
    begin_next(reload);
}

const struct outcome *reload_last(const struct reload *reload)
{
    return &reload->last;
}

void reload_end(struct reload *reload)
{
    reload->is_ending = true;
    if (reload->is_settling) { /* what it has changed stands */
        reload->is_settling = false;
        finish(reload, &reload->counts);
    }
    atomic_store(&reload->fetch.cancelled, true);
    if (!reload->is_reading) {
        drop_reading(reload);
    }
    tell(&reload->served, NULL);
    tell(&reload->waiting, NULL);
}

bool reload_is_owed(const struct reload *reload)
{
    return reload->owes_files;
}

struct reload *reload_free(struct reload *reload)
{
    if (reload != NULL && reload->is_reading) {
        reload->is_orphan = true;
    } else if (reload != NULL) {
        outcome_release(&reload->last);
        deadline_free(reload->patience);
        free(reload);
    }
    return NULL;
}
