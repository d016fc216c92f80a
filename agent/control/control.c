#include "control/control.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/capacity.h"
#include "control/changeover.h"
#include "control/control_fields.h"
#include "control/notify.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* Descriptors besides sockets for callers and backends: those of each event loop, and what the
 * control plane keeps open (DNS, log, systemd, the status endpoint, watched folders, canaries). */
#define FDS_PER_LOOP 8
#define FDS_OF_OURS  192

/* ---- stopping ---- */

static void finish(struct control *control, int status)
{
    control->state = CONTROL_ENDED;
    control->status = status;
    uv_stop(&control->loop);
}

static void cut(struct control *control, const char *why)
{
    uint64_t open = ledger_open(&control->ledger);
    struct log_line line;
    log_begin(&line, open > 0 ? LEVEL_WARNING : LEVEL_INFO, "leaving at once");
    log_text(&line, "why", why);
    log_number(&line, "connections", open);
    log_end(&line);
    crew_cut(control->crew);
    finish(control, open > 0 ? 1 : 0);
}

static void on_deadline(uv_timer_t *timer)
{
    cut(timer->data, "shutdown_timeout has passed");
}

static void drain(struct control *control, int signum)
{
    uint64_t patience_ms = control->snapshot->config->agent.shutdown_timeout_ms;
    control->state = CONTROL_DRAINING;
    struct log_line line;
    log_begin(&line, LEVEL_INFO, "stopping");
    log_text(&line, "signal", signum == SIGINT ? "SIGINT" : "SIGTERM");
    log_number(&line, "connections", ledger_open(&control->ledger));
    log_seconds(&line, "shutdown_timeout", patience_ms);
    log_end(&line);

    notify_stopping();
    reload_end(control->reload);
    doors_unlink(control->doors);
    uv_timer_start(&control->deadline, on_deadline, patience_ms, 0);
    crew_drain(control->crew);
}

/* ---- events ---- */

static void on_news(uv_async_t *news)
{
    struct control *control = news->data;
    digest_wake(control->digest);
    reload_settle(control->reload);
    if (control->state == CONTROL_DRAINING && crew_is_drained(control->crew)) {
        finish(control, 0);
    }
}

/* Called in a worker's thread. */
static void wake(void *ctx)
{
    struct control *control = ctx;
    uv_async_send(&control->news);
}

static void on_hangup(struct control *control)
{
    if (control->state == CONTROL_RUNNING) {
        reload_request(control->reload, NULL);
    } else {
        log_message(LEVEL_WARNING, "no reload: the agent is stopping");
    }
}

static void on_signal(uv_signal_t *signal, int signum)
{
    struct control *control = signal->data;
    if (signum == SIGHUP) {
        on_hangup(control);
    } else if (control->state == CONTROL_RUNNING) {
        drain(control, signum);
    } else if (control->state == CONTROL_DRAINING) {
        cut(control, "a second signal");
    }
}

static void on_found(void *ctx, size_t service_id, struct endpoints *endpoints)
{
    struct control *control = ctx;
    struct order *order = order_new(control->crew, 0);
    if (order != NULL) {
        order_resolve(order, service_id, endpoints);
    }
    if (order != NULL && order_is_whole(order)) {
        order_give(order, control->crew);
    } else {
        order_free(order);
        log_message(LEVEL_ERROR, "out of memory: the workers keep the addresses they have");
    }
    endpoints_unref(endpoints);
}

static void on_files(void *ctx)
{
    struct control *control = ctx;
    reload_request_files(control->reload);
}

/* ---- starting ---- */

/* Those that are kept all the time; what `auto` keeps comes and goes with the callers. */
static uint64_t count_warm_sessions(const struct config *config, size_t n_workers)
{
    uint64_t n = 0;
    for (size_t i = 0; i < config->n_services; i++) {
        unsigned prewarm = config->services[i].prewarm;
        n += prewarm != CONFIG_PREWARM_AUTO ? prewarm : 0;
    }
    return n * n_workers;
}

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
    uint64_t wanted = least + FDS_OF_OURS + 2 * most + count_warm_sessions(config, n_workers);
    if (limit >= wanted) {
        return 0;
    }
    struct log_line line;
    bool is_fatal = limit < least;
    log_begin(&line, is_fatal ? LEVEL_ERROR : LEVEL_WARNING,
              is_fatal ? "the descriptor limit does not hold the listening sockets"
                       : "the descriptor limit does not hold max_connections and prewarm");
    log_number(&line, "limit", limit);
    log_number(&line, "wanted", wanted);
    log_text(&line, "detail", "raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn)");
    log_end(&line);
    return is_fatal ? -1 : 0;
}

/* What the first changeover needs. */
static int make_house(struct control *control, size_t n_workers, bool overlaps)
{
    uv_loop_t *loop = &control->loop;
    struct worker_watcher watcher = {.changed = wake, .ctx = control};
    bool is_whole = (control->doors = doors_new(n_workers, overlaps)) != NULL &&
                    (control->digest = digest_start(loop, &control->ledger)) != NULL &&
                    (control->reload = reload_new(control)) != NULL &&
                    (control->outlook = outlook_new(control)) != NULL &&
                    (control->publish = publish_start(loop, overlaps, &outlook_events,
                                                      control->outlook)) != NULL &&
                    (control->resolver = resolver_start(loop, on_found, control)) != NULL &&
                    (control->filewatch = filewatch_start(loop, on_files, control)) != NULL &&
                    (control->crls = crls_start(loop, on_files, control)) != NULL &&
                    (control->crew = crew_start(n_workers, watcher)) != NULL;
    if (!is_whole) {
        log_message(LEVEL_ERROR, "cannot start: %m");
        return -1;
    }
    return 0;
}

static int start_watchdog(struct control *control)
{
    uint64_t interval_ms = notify_watchdog_ms();
    if (interval_ms == 0) {
        return 0;
    }
    control->watchdog = watchdog_start(&control->loop, crew_workers(control->crew),
                                       crew_size(control->crew), interval_ms);
    return control->watchdog != NULL ? 0 : -1;
}

/* Begins to serve; what cannot be opened is told. */
static int move_in(struct control *control, struct snapshot *snapshot)
{
    struct problems *problems = problems_new();
    int rc = problems != NULL ? changeover(control, snapshot, problems) : -1;
    if (problems != NULL) {
        problems_log(problems, true);
    }
    if (rc < 0) {
        snapshot_free(snapshot);
    }
    problems_free(problems);
    return rc;
}

static void announce(const struct control *control)
{
    const struct config *config = control->snapshot->config;
    struct log_line line;
    log_begin(&line, LEVEL_INFO, "ready");
    log_text(&line, "version", PACKAGE_VERSION);
    log_number(&line, "services", config->n_services);
    log_number(&line, "workers", crew_size(control->crew));
    log_end(&line);

    char status[64];
    snprintf(status, sizeof(status), "Serving %zu services", config->n_services);
    notify_ready(status);
}

static int start(struct control *control, struct snapshot *snapshot, bool overlaps)
{
    const struct config *config = snapshot->config;
    size_t n_workers = config->agent.workers > 0 ? config->agent.workers : capacity_cpus();
    if (check_descriptors(config, n_workers) < 0 || make_house(control, n_workers, overlaps) < 0) {
        snapshot_free(snapshot);
        return -1; /* told */
    }
    if (move_in(control, snapshot) < 0) {
        return -1; /* told */
    }
    control->upkeep = upkeep_start(control);
    if (control->upkeep == NULL || start_watchdog(control) < 0) {
        log_message(LEVEL_ERROR, "cannot start: out of memory");
        return -1;
    }
    control->state = CONTROL_RUNNING;
    announce(control);
    return 0;
}

/* ---- the loop ---- */

static void on_nothing(uv_work_t *work)
{
    (void)work;
}

static void on_pool_ready(uv_work_t *work, int status)
{
    (void)work, (void)status;
}

/* Has libuv start the threads of its pool while all signals are blocked, for those are the control
 * thread's alone. A SIGHUP that came before now has waited: see cli/run.c. */
static void start_pool(struct control *control)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    uv_queue_work(&control->loop, &control->first_work, on_nothing, on_pool_ready);
    sigdelset(&before, SIGHUP);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int set_up_loop(struct control *control)
{
    static const int numbers[CONTROL_SIGNALS] = {
        [CONTROL_ON_TERM] = SIGTERM, [CONTROL_ON_INT] = SIGINT, [CONTROL_ON_HUP] = SIGHUP};
    int error = uv_loop_init(&control->loop);
    if (error < 0) {
        log_message(LEVEL_ERROR, "cannot make the control loop: %s", uv_strerror(error));
        return -1;
    }
    uv_async_init(&control->loop, &control->news, on_news);
    uv_timer_init(&control->loop, &control->deadline);
    control->news.data = control->deadline.data = control;
    for (size_t i = 0; i < CONTROL_SIGNALS; i++) {
        uv_signal_init(&control->loop, &control->signals[i]);
        control->signals[i].data = control;
        uv_signal_start(&control->signals[i], on_signal, numbers[i]);
    }
    start_pool(control);
    return 0;
}

static void tear_down(struct control *control)
{
    if (control->reload != NULL) {
        reload_end(control->reload);
    }
    control->publish = publish_stop(control->publish);
    control->outlook = outlook_free(control->outlook);
    control->watchdog = watchdog_stop(control->watchdog);
    control->upkeep = upkeep_stop(control->upkeep);
    control->filewatch = filewatch_stop(control->filewatch);
    control->crls = crls_stop(control->crls);
    control->resolver = resolver_stop(control->resolver);
    control->crew = crew_stop(control->crew);
    control->digest = digest_stop(control->digest); /* knows now how all connections ended */
    control->doors = doors_free(control->doors);
    control->reload = reload_free(control->reload);

    uv_close((uv_handle_t *)&control->news, NULL);
    uv_close((uv_handle_t *)&control->deadline, NULL);
    for (size_t i = 0; i < CONTROL_SIGNALS; i++) {
        uv_close((uv_handle_t *)&control->signals[i], NULL);
    }
    uv_run(&control->loop, UV_RUN_DEFAULT);
    uv_loop_close(&control->loop);
    control->snapshot = snapshot_free(control->snapshot);
    ledger_release(&control->ledger);
}

int control_run(struct snapshot *snapshot, const struct control_options *options)
{
    struct control control = {
        .file = options->file,
        .status = 1,
        .started = time(NULL),
        .started_ms = clock_ms(),
    };
    if (set_up_loop(&control) < 0) {
        snapshot_free(snapshot);
        return 1;
    }
    if (start(&control, snapshot, options->overlaps) == 0) {
        uv_run(&control.loop, UV_RUN_DEFAULT);
    }
    tear_down(&control);
    if (control.state == CONTROL_ENDED) {
        log_message(LEVEL_INFO, "stopped");
    }
    return control.status;
}

const char *control_library_version(void)
{
    return uv_version_string();
}
