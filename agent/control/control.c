#include "control/control.h"

#include "base/log.h"
#include "control/capacity.h"
#include "control/digest.h"
#include "control/doors.h"
#include "control/notify.h"
#include "control/resolver.h"
#include "control/watchdog.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

/* Descriptors besides sockets for callers and backends: those of each event loop, and what the
 * control plane keeps open (DNS, log, systemd). */
#define FDS_PER_LOOP 8
#define FDS_OF_OURS  96

enum state {
    STATE_STARTING,
    STATE_RUNNING,
    STATE_DRAINING,
    STATE_ENDED,
};

enum { ON_TERM, ON_INT, ON_HUP, N_SIGNALS };

struct control {
    struct snapshot *snapshot;
    enum state state;
    int status; /* what the process will exit with */

    uv_loop_t loop;
    uv_signal_t signals[N_SIGNALS];
    uv_async_t changed;  /* what a worker tells of has */
    uv_timer_t deadline; /* of draining */

    struct doors doors;
    struct worker **workers;
    size_t n_workers;
    struct resolver *resolver;
    struct watchdog *watchdog;
    struct digest *digest;
};

/* ---- stopping ---- */

static uint64_t open_connections(const struct control *control)
{
    uint64_t open = 0;
    for (size_t i = 0; i < control->snapshot->config->n_services; i++) {
        open += atomic_load(&control->snapshot->services[i]->open);
    }
    return open;
}

static void finish(struct control *control, int status)
{
    control->state = STATE_ENDED;
    control->status = status;
    uv_stop(&control->loop);
}

static void finish_if_drained(struct control *control)
{
    if (control->state != STATE_DRAINING) {
        return;
    }
    for (size_t i = 0; i < control->n_workers; i++) {
        if (!worker_is_drained(control->workers[i])) {
            return;
        }
    }
    finish(control, 0);
}

static void cut(struct control *control, const char *why)
{
    uint64_t open = open_connections(control);
    struct log_line line;
    log_begin(&line, open > 0 ? LEVEL_WARNING : LEVEL_INFO, "leaving at once");
    log_text(&line, "why", why);
    log_number(&line, "connections", open);
    log_end(&line);
    for (size_t i = 0; i < control->n_workers; i++) {
        worker_cut(control->workers[i]);
    }
    finish(control, open > 0 ? 1 : 0);
}

static void on_deadline(uv_timer_t *timer)
{
    cut(timer->data, "shutdown_timeout has passed");
}

static void drain(struct control *control, int signum)
{
    uint64_t patience_ms = control->snapshot->config->agent.shutdown_timeout_ms;
    control->state = STATE_DRAINING;
    struct log_line line;
    log_begin(&line, LEVEL_INFO, "stopping");
    log_text(&line, "signal", signum == SIGINT ? "SIGINT" : "SIGTERM");
    log_number(&line, "connections", open_connections(control));
    log_seconds(&line, "shutdown_timeout", patience_ms);
    log_end(&line);

    notify_stopping();
    doors_unlink(&control->doors);
    uv_timer_start(&control->deadline, on_deadline, patience_ms, 0);
    for (size_t i = 0; i < control->n_workers; i++) {
        worker_drain(control->workers[i]);
    }
}

static void on_changed(uv_async_t *changed)
{
    struct control *control = changed->data;
    digest_wake(control->digest);
    finish_if_drained(control);
}

/* Called in a worker's thread. */
static void wake(void *ctx)
{
    struct control *control = ctx;
    uv_async_send(&control->changed);
}

static void on_signal(uv_signal_t *signal, int signum)
{
    struct control *control = signal->data;
    if (signum == SIGHUP) {
        log_message(LEVEL_WARNING, "reload is not available in this version; restart the agent to "
                                   "apply a changed configuration");
    } else if (control->state == STATE_RUNNING) {
        drain(control, signum);
    } else if (control->state == STATE_DRAINING) {
        cut(control, "a second signal");
    }
}

/* ---- starting ---- */

static int check_descriptors(const struct config *config, size_t n_workers)
{
    uint64_t limit = capacity_raise_descriptors();
    uint64_t least = doors_needed(config, n_workers) + FDS_PER_LOOP * (n_workers + 1);
    uint64_t most = 0;
    for (size_t i = 0; i < config->n_services; i++) {
        uint64_t connections = config->services[i].max_connections;
        most = connections > most ? connections : most;
    }
    /* A connection takes two. */
    uint64_t wanted = least + FDS_OF_OURS + 2 * most;
    if (limit >= wanted) {
        return 0;
    }
    struct log_line line;
    bool is_fatal = limit < least;
    log_begin(&line, is_fatal ? LEVEL_ERROR : LEVEL_WARNING,
              is_fatal ? "the descriptor limit does not hold the listening sockets"
                       : "the descriptor limit does not hold max_connections");
    log_number(&line, "limit", limit);
    log_number(&line, "wanted", wanted);
    log_text(&line, "detail", "raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn)");
    log_end(&line);
    return is_fatal ? -1 : 0;
}

static int start_workers(struct control *control)
{
    size_t n = control->doors.n_workers;
    control->workers = calloc(n, sizeof(struct worker *));
    if (control->workers == NULL) {
        return -1;
    }
    /* Signals are for the control thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct worker_watcher watcher = {.changed = wake, .ctx = control};
    while (control->n_workers < n) {
        struct worker *worker = worker_start(control->snapshot->config->n_services, watcher);
        if (worker == NULL) {
            break;
        }
        control->workers[control->n_workers++] = worker;
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return control->n_workers == n ? 0 : -1;
}

/* Gives every worker its own sockets of one service, whose listens begin at `first`. `fds` is room
 * for those of one worker. */
static int serve(struct control *control, size_t service, size_t first, int *fds)
{
    size_t n = control->snapshot->config->services[service].n_listens;
    for (size_t i = 0; i < control->n_workers; i++) {
        doors_take(&control->doors, first, n, i, fds);
        if (worker_serve(control->workers[i], control->snapshot->services[service], fds, n) < 0) {
            return -1;
        }
    }
    return 0;
}

static int serve_all(struct control *control)
{
    const struct config *config = control->snapshot->config;
    int *fds = calloc(control->doors.n_listens + 1, sizeof(*fds));
    size_t first = 0, i = 0;
    while (fds != NULL && i < config->n_services && serve(control, i, first, fds) == 0) {
        first += config->services[i++].n_listens;
    }
    free(fds);
    return i == config->n_services ? 0 : -1;
}

static void on_found(void *ctx, size_t service_id, struct endpoints *endpoints)
{
    struct control *control = ctx;
    for (size_t i = 0; i < control->n_workers; i++) {
        if (worker_resolve(control->workers[i], service_id, endpoints) < 0) {
            log_message(LEVEL_ERROR, "out of memory: a worker keeps the addresses it has");
        }
    }
    endpoints_unref(endpoints);
}

static int start_watchdog(struct control *control)
{
    uint64_t interval_ms = notify_watchdog_ms();
    if (interval_ms == 0) {
        return 0;
    }
    control->watchdog =
        watchdog_start(&control->loop, control->workers, control->n_workers, interval_ms);
    return control->watchdog != NULL ? 0 : -1;
}

static void announce(const struct control *control)
{
    const struct config *config = control->snapshot->config;
    struct log_line line;
    log_begin(&line, LEVEL_INFO, "ready");
    log_text(&line, "version", PACKAGE_VERSION);
    log_number(&line, "services", config->n_services);
    log_number(&line, "workers", control->n_workers);
    log_end(&line);

    char status[64];
    snprintf(status, sizeof(status), "Serving %zu services", config->n_services);
    notify_ready(status);
}

static int start(struct control *control)
{
    const struct config *config = control->snapshot->config;
    size_t n_workers = config->agent.workers > 0 ? config->agent.workers : capacity_cpus();
    if (check_descriptors(config, n_workers) < 0 ||
        doors_open(&control->doors, config, n_workers) < 0) {
        return -1; /* told */
    }
    control->digest = digest_start(&control->loop, control->snapshot->services, config->n_services);
    if (control->digest == NULL || start_workers(control) < 0 || serve_all(control) < 0) {
        log_message(LEVEL_ERROR, "cannot start the workers: %m");
        return -1;
    }
    control->resolver = resolver_start(&control->loop, config, on_found, control);
    if (control->resolver == NULL || start_watchdog(control) < 0) {
        log_message(LEVEL_ERROR, "cannot start the resolver: out of memory");
        return -1;
    }
    control->state = STATE_RUNNING;
    announce(control);
    return 0;
}

/* ---- the loop ---- */

static int set_up_loop(struct control *control)
{
    static const int numbers[N_SIGNALS] = {
        [ON_TERM] = SIGTERM, [ON_INT] = SIGINT, [ON_HUP] = SIGHUP};
    int error = uv_loop_init(&control->loop);
    if (error < 0) {
        log_message(LEVEL_ERROR, "cannot make the control loop: %s", uv_strerror(error));
        return -1;
    }
    uv_async_init(&control->loop, &control->changed, on_changed);
    uv_timer_init(&control->loop, &control->deadline);
    control->changed.data = control->deadline.data = control;
    for (size_t i = 0; i < N_SIGNALS; i++) {
        uv_signal_init(&control->loop, &control->signals[i]);
        control->signals[i].data = control;
        uv_signal_start(&control->signals[i], on_signal, numbers[i]);
    }
    return 0;
}

static void tear_down(struct control *control)
{
    control->watchdog = watchdog_stop(control->watchdog);
    control->resolver = resolver_stop(control->resolver);
    for (size_t i = 0; i < control->n_workers; i++) {
        control->workers[i] = worker_stop(control->workers[i]);
    }
    free(control->workers);
    control->digest = digest_stop(control->digest); /* knows now how all connections ended */
    doors_unlink(&control->doors);
    doors_close(&control->doors);

    uv_close((uv_handle_t *)&control->changed, NULL);
    uv_close((uv_handle_t *)&control->deadline, NULL);
    for (size_t i = 0; i < N_SIGNALS; i++) {
        uv_close((uv_handle_t *)&control->signals[i], NULL);
    }
    uv_run(&control->loop, UV_RUN_DEFAULT);
    uv_loop_close(&control->loop);
}

int control_run(struct snapshot *snapshot)
{
    struct control control = {.snapshot = snapshot, .status = 1};
    if (set_up_loop(&control) < 0) {
        return 1;
    }
    if (start(&control) == 0) {
        uv_run(&control.loop, UV_RUN_DEFAULT);
    }
    tear_down(&control);
    if (control.state == STATE_ENDED) {
        log_message(LEVEL_INFO, "stopped");
    }
    return control.status;
}

const char *control_library_version(void)
{
    return uv_version_string();
}
