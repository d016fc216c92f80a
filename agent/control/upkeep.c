#include "control/upkeep.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/span.h"
#include "control/control_fields.h"

#include <stdlib.h>

#define LOOK_MS 60000

/* Between two tries of what a backend did not want: twice as long each time. */
#define RETRY_MIN_MS 15000
#define RETRY_MAX_MS 300000

/* The least time between two looks. */
#define PAUSE_MS 1000

/* The wall clock was set when it has gone so much further, or less far, than the other. */
#define STEP_S 30

struct upkeep {
    uv_timer_t timer;
    struct control *control;
    time_t looked;      /* by the wall clock */
    uint64_t looked_ms; /* by the monotonic clock */
    uint64_t retried_ms, pause_ms;
};

void upkeep_terms(const struct config_agent *agent, const struct config_service *service,
                  uint64_t from_ms, struct retirement_terms *ret_terms)
{
    bool drains = service->retire_ms == CONFIG_RETIRE_DRAIN;
    ret_terms->end_ms = from_ms + (drains ? agent->shutdown_timeout_ms : service->retire_ms);
    ret_terms->when_quiet = drains;
}

/* ---- the clock ---- */

/* Seconds by which the wall clock was set since the last look; 0: it only went on. */
static time_t step_of(const struct upkeep *upkeep, time_t now, uint64_t now_ms)
{
    time_t step = now - upkeep->looked - (time_t)((now_ms - upkeep->looked_ms) / 1000);
    return step > STEP_S || step < -STEP_S ? step : 0;
}

static void log_step(time_t step)
{
    char span[SPAN_TEXT_MAX];
    struct log_line line;
    log_begin(&line, LEVEL_WARNING, "this host's clock was set");
    log_text(&line, "by", span_format(step > 0 ? step : -step, span));
    log_text(&line, "direction", step > 0 ? "forward" : "back");
    log_text(&line, "detail", "certificates are judged by the new time");
    log_end(&line);
}

/* ---- certificates that run out ---- */

static time_t least_not_after(const struct identity *identity)
{
    size_t n;
    const struct inspect_facts *facts = identity_facts(identity, &n);
    time_t least = facts[0].not_after;
    for (size_t i = 1; i < n; i++) {
        least = facts[i].not_after < least ? facts[i].not_after : least;
    }
    return least;
}

/* Sets an end to the connections of a certificate of which no more is left than `retire` takes.
 * Those of one that has run out already were made with it all the same, and are left alone. Returns
 * after how many milliseconds to look again. */
static uint64_t retire_expiring(const struct upkeep *upkeep, struct order *order, size_t i,
                                time_t now)
{
    const struct snapshot *snapshot = upkeep->control->snapshot;
    const struct config_service *config = &snapshot->config->services[i];
    const struct identity *identity = profile_identity(snapshot->services[i]->profile);
    struct retirement_terms terms;
    uint64_t now_ms = clock_ms();
    if (config->retire_ms == CONFIG_RETIRE_NEVER || identity == NULL) {
        return LOOK_MS;
    }
    time_t left = least_not_after(identity) - now;
    if (left <= 0) {
        return LOOK_MS;
    }
    uint64_t left_ms = (uint64_t)left * 1000;
    upkeep_terms(&snapshot->config->agent, config, now_ms, &terms);
    uint64_t patience_ms = terms.end_ms - now_ms;
    if (left_ms > patience_ms) {
        return left_ms - patience_ms;
    }
    terms.end_ms = now_ms + left_ms;
    order_retire(order, RETIREMENT_EXPIRING, snapshot->services[i], terms);
    return left_ms / 2; /* there may be new connections by then */
}

/* A clock that was set made certificates look as if they ran out; or does no longer. */
static void take_back(const struct upkeep *upkeep, struct order *order, size_t i)
{
    const struct snapshot *snapshot = upkeep->control->snapshot;
    const struct retirement_terms never = {.end_ms = UINT64_MAX};
    if (snapshot->config->services[i].retire_ms != CONFIG_RETIRE_NEVER) {
        order_retire(order, RETIREMENT_EXPIRING, snapshot->services[i], never);
    }
}

/* Returns after how many milliseconds to look again. */
static uint64_t retire_all(const struct upkeep *upkeep, time_t now, bool was_set)
{
    struct control *control = upkeep->control;
    struct order *order = order_new(control->crew, 0);
    uint64_t next_ms = LOOK_MS;
    if (order == NULL) {
        return next_ms;
    }
    for (size_t i = 0; i < control->snapshot->config->n_services; i++) {
        if (was_set) {
            take_back(upkeep, order, i);
        }
        uint64_t due_ms = retire_expiring(upkeep, order, i, now);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    if (order_is_whole(order)) {
        order_give(order, control->crew);
    } else {
        order_free(order);
    }
    return next_ms > PAUSE_MS ? next_ms : PAUSE_MS;
}

/* ---- what a backend did not want yet ---- */

static bool holds_any(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->config->n_services; i++) {
        if (snapshot->held[i] != NULL) {
            return true;
        }
    }
    return false;
}

/* Returns after how many milliseconds to look again. A change of the snapshot, as this may lead to,
 * is followed by another look at once. */
static uint64_t retry(struct upkeep *upkeep, uint64_t now_ms)
{
    struct control *control = upkeep->control;
    uint64_t since_ms = now_ms - upkeep->retried_ms;
    if (!holds_any(control->snapshot) && !reload_is_owed(control->reload)) {
        upkeep->pause_ms = RETRY_MIN_MS;
        return LOOK_MS;
    }
    if (since_ms < upkeep->pause_ms) {
        return upkeep->pause_ms - since_ms;
    }
    upkeep->retried_ms = now_ms;
    upkeep->pause_ms *= upkeep->pause_ms < RETRY_MAX_MS / 2 ? 2 : 1;
    reload_request_files(control->reload);
    return upkeep->pause_ms;
}

static void on_look(uv_timer_t *timer)
{
    struct upkeep *upkeep = timer->data;
    time_t now = time(NULL);
    uint64_t now_ms = clock_ms();
    time_t step = step_of(upkeep, now, now_ms);
    if (step != 0) {
        log_step(step);
    }
    upkeep->looked = now;
    upkeep->looked_ms = now_ms;
    uint64_t retire_ms = retire_all(upkeep, now, step != 0), retry_ms = retry(upkeep, now_ms);
    uv_timer_start(timer, on_look, retire_ms < retry_ms ? retire_ms : retry_ms, 0);
}

struct upkeep *upkeep_start(struct control *control)
{
    struct upkeep *upkeep = calloc(1, sizeof(*upkeep));
    if (upkeep == NULL) {
        return NULL;
    }
    upkeep->control = control;
    upkeep->looked = time(NULL);
    upkeep->looked_ms = upkeep->retried_ms = clock_ms();
    uv_timer_init(&control->loop, &upkeep->timer);
    upkeep->timer.data = upkeep;
    upkeep->pause_ms = RETRY_MIN_MS;
    upkeep_wake(upkeep);
    return upkeep;
}

void upkeep_wake(struct upkeep *upkeep)
{
    bool is_soon = uv_timer_get_due_in(&upkeep->timer) <= PAUSE_MS;
    if (!is_soon || !uv_is_active((uv_handle_t *)&upkeep->timer)) {
        uv_timer_start(&upkeep->timer, on_look, PAUSE_MS, 0);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct upkeep *upkeep_stop(struct upkeep *upkeep)
{
    if (upkeep != NULL) {
        uv_close((uv_handle_t *)&upkeep->timer, on_closed);
    }
    return NULL;
}
