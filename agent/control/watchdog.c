#include "control/watchdog.h"

#include "base/log.h"
#include "control/notify.h"

#include <stdlib.h>

#define WARN_AGAIN_MS 60000

struct watchdog {
    uv_timer_t timer;
    struct worker *const *workers;
    size_t n_workers;
    uint64_t warned_ms;
    uint64_t seen[]; /* each worker's turns when it was pinged last */
};

/* True when the worker's loop has answered the last ping. */
static bool has_turned(const struct watchdog *watchdog, size_t i)
{
    return worker_turns(watchdog->workers[i]) > watchdog->seen[i];
}

static void ping_all(struct watchdog *watchdog)
{
    for (size_t i = 0; i < watchdog->n_workers; i++) {
        watchdog->seen[i] = worker_turns(watchdog->workers[i]);
        worker_ping(watchdog->workers[i]);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct watchdog *watchdog = timer->data;
    for (size_t i = 0; i < watchdog->n_workers; i++) {
        if (has_turned(watchdog, i)) {
            continue;
        }
        if (log_due(&watchdog->warned_ms, WARN_AGAIN_MS)) {
            log_message(LEVEL_WARNING, "worker %zu does not turn", i);
        }
        return;
    }
    notify_alive();
    ping_all(watchdog);
}

struct watchdog *watchdog_start(uv_loop_t *loop, struct worker *const *workers, size_t n_workers,
                                uint64_t interval_ms)
{
    struct watchdog *watchdog =
        calloc(1, sizeof(*watchdog) + n_workers * sizeof(watchdog->seen[0]));
    if (watchdog == NULL) {
        return NULL;
    }
    watchdog->workers = workers;
    watchdog->n_workers = n_workers;
    uint64_t pause_ms = interval_ms < 4 ? 1 : interval_ms / 4;
    uv_timer_init(loop, &watchdog->timer);
    watchdog->timer.data = watchdog;
    uv_timer_start(&watchdog->timer, on_timer, pause_ms, pause_ms);
    ping_all(watchdog);
    return watchdog;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct watchdog *watchdog_stop(struct watchdog *watchdog)
{
    if (watchdog != NULL) {
        uv_close((uv_handle_t *)&watchdog->timer, on_closed);
    }
    return NULL;
}
