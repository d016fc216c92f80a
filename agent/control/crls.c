#include "control/crls.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/span.h"
#include "control/crl_fetch.h"
#include "control/crl_plan.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT_ONCE_MAX 2 /* downloads: they hold threads that others want */
#define WARN_MS     60000
#define LOOK_MS     60000 /* how long a step of the wall clock may go unseen */
#define STEP_S      30    /* what makes a step */

/* One URL. */
struct source {
    struct list link;
    struct crls *crls;
    char *url, *path, *ca;
    uv_work_t work;
    struct crl_fetch fetch;
    bool is_running;
    bool is_dropped; /* no longer wanted: freed when the download is over */

    struct crl_plan plan;
    uint64_t warned_ms;
    char problem[CRL_FETCH_WHY_MAX]; /* of the last failure, for the thread of the loop */
};

struct crls {
    uv_timer_t timer;
    uv_loop_t *loop;
    crls_fetched *fetched;
    void *ctx;
    struct list sources;
    int64_t offset;         /* seconds of the wall clock less those of the monotonic one */
    unsigned running, held; /* `held`: what must end before the memory is freed */
    bool is_stopped;
};

/* ---- memory ---- */

static struct source *source_free(struct source *source)
{
    if (source != NULL) {
        free(source->url);
        free(source->path);
        free(source->ca);
        free(source);
    }
    return NULL;
}

static struct source *source_new(struct crls *crls, const struct crls_wanted *wanted)
{
    struct source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return NULL;
    }
    list_init(&source->link);
    source->crls = crls;
    source->url = strdup(wanted->url);
    source->path = strdup(wanted->path);
    source->ca = wanted->ca != NULL ? strdup(wanted->ca) : NULL;
    bool is_whole =
        source->url != NULL && source->path != NULL && (wanted->ca == NULL || source->ca != NULL);
    return is_whole ? source : source_free(source);
}

/* Takes a source off the list; it is freed at once, or when its download has ended. */
static void drop(struct source *source)
{
    list_remove(&source->link);
    if (source->is_running) {
        source->is_dropped = true;
        atomic_store(&source->fetch.cancelled, true);
        (void)uv_cancel((uv_req_t *)&source->work); /* unless a thread has begun with it */
    } else {
        source_free(source);
    }
}

static void let_go(struct crls *crls)
{
    if (--crls->held == 0) {
        free(crls);
    }
}

/* ---- what is told ---- */

static void tell_failure(struct source *source)
{
    struct log_line line;
    if (!log_due(&source->warned_ms, WARN_MS)) {
        return;
    }
    log_begin(&line, LEVEL_WARNING, "CRL not downloaded");
    log_text(&line, "url", source->url);
    log_text(&line, "file", source->path);
    log_text(&line, "detail", source->fetch.why);
    log_bool(&line, "current", source->plan.next_update >= time(NULL));
    log_end(&line);
}

static void tell_success(const struct source *source, bool is_recovery)
{
    char date[SPAN_TEXT_MAX];
    struct log_line line;
    if (!source->fetch.is_new && !is_recovery) {
        return;
    }
    log_begin(&line, LEVEL_INFO, is_recovery ? "CRL is downloaded again" : "CRL downloaded");
    log_text(&line, "url", source->url);
    log_text(&line, "file", source->path);
    log_text(&line, "next_update", span_format_date(source->plan.next_update, date));
    log_end(&line);
}

/* ---- the downloads ---- */

static void on_timer(uv_timer_t *timer);

/* Looks at the sources as soon as the loop turns. */
static void wake(struct crls *crls)
{
    uv_timer_start(&crls->timer, on_timer, 0, 0);
}

static void run(uv_work_t *work)
{
    struct source *source = work->data;
    crl_fetch_run(&source->fetch);
}

static void note_end(struct source *source)
{
    const struct crl_fetch *fetch = &source->fetch;
    bool is_recovery = source->plan.failures > 0;
    if (fetch->is_good) {
        crl_plan_success(&source->plan, fetch->next_update, time(NULL));
        source->warned_ms = 0;
        tell_success(source, is_recovery);
        if (fetch->is_new) {
            source->crls->fetched(source->crls->ctx);
        }
    } else {
        crl_plan_failure(&source->plan, fetch->next_update, clock_ms(), time(NULL));
        memcpy(source->problem, fetch->why, sizeof(source->problem));
        tell_failure(source);
    }
}

static void on_end(uv_work_t *work, int status)
{
    struct source *source = work->data;
    struct crls *crls = source->crls;
    source->is_running = false;
    crls->running--;
    if (source->is_dropped) {
        source_free(source);
    } else if (status == 0) {
        note_end(source);
    }
    if (!crls->is_stopped) {
        wake(crls);
    }
    let_go(crls);
}

static void start(struct source *source)
{
    struct crls *crls = source->crls;
    source->work.data = source;
    source->fetch.url = source->url;
    source->fetch.path = source->path;
    source->fetch.ca = source->ca;
    source->fetch.is_enough = !source->plan.is_made;
    if (uv_queue_work(crls->loop, &source->work, run, on_end) == 0) {
        source->is_running = true;
        crls->running++;
        crls->held++;
    }
}

/* True when the wall clock was set since the last time. */
static bool has_stepped(struct crls *crls, uint64_t now_ms, time_t now)
{
    int64_t before = crls->offset;
    crls->offset = (int64_t)now - (int64_t)(now_ms / 1000);
    return llabs(crls->offset - before) > STEP_S;
}

/* Milliseconds until the source needs attention. Somebody may remove its file. */
static uint64_t wait_ms(struct source *source, uint64_t now_ms, time_t now)
{
    if (source->is_running) {
        return LOOK_MS;
    }
    bool is_lost = source->plan.next_update != 0 && access(source->path, F_OK) < 0;
    uint64_t wait = crl_plan_wait_ms(&source->plan, now_ms, now);
    return is_lost && source->plan.failures == 0 ? 0 : wait;
}

/* Starts what is due, as far as there is room, and sleeps until the next is. */
static void on_timer(uv_timer_t *timer)
{
    struct crls *crls = timer->data;
    uint64_t now_ms = clock_ms(), sleep_ms = LOOK_MS;
    time_t now = time(NULL);
    bool stepped = has_stepped(crls, now_ms, now);
    LIST_EACH (link, &crls->sources) {
        struct source *source = list_item(link, struct source, link);
        if (stepped) {
            crl_plan_step(&source->plan, now_ms);
        }
        uint64_t wait = wait_ms(source, now_ms, now);
        if (wait == 0 && crls->running < AT_ONCE_MAX) {
            start(source);
        } else if (wait > 0 && wait < sleep_ms) {
            sleep_ms = wait;
        }
    }
    if (!list_empty(&crls->sources)) {
        uv_timer_start(&crls->timer, on_timer, sleep_ms, 0);
    }
}

/* ---- what is wanted ---- */

static bool is_text_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool matches(const struct source *source, const struct crls_wanted *wanted)
{
    return strcmp(source->path, wanted->path) == 0 && strcmp(source->url, wanted->url) == 0 &&
           is_text_same(source->ca, wanted->ca);
}

static bool has(const struct list *sources, const struct crls_wanted *wanted)
{
    LIST_EACH (link, sources) {
        if (matches(list_item(link, struct source, link), wanted)) {
            return true;
        }
    }
    return false;
}

static void drop_all(struct list *sources)
{
    LIST_EACH_SAFE (link, sources) {
        drop(list_item(link, struct source, link));
    }
}

/* Puts a source for each URL that is new into `fresh`. */
static int add_new(struct crls *crls, const struct crls_wanted *list, size_t n, struct list *fresh)
{
    for (size_t i = 0; i < n; i++) {
        if (has(&crls->sources, &list[i]) || has(fresh, &list[i])) {
            continue;
        }
        struct source *source = source_new(crls, &list[i]);
        if (source == NULL) {
            drop_all(fresh);
            return -1;
        }
        list_append(fresh, &source->link);
    }
    return 0;
}

static bool is_wanted(const struct source *source, const struct crls_wanted *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (matches(source, &list[i])) {
            return true;
        }
    }
    return false;
}

int crls_set(struct crls *crls, const struct crls_wanted *list, size_t n)
{
    struct list fresh;
    list_init(&fresh);
    if ((n > 0 && crl_fetch_prepare() < 0) || add_new(crls, list, n, &fresh) < 0) {
        return -1;
    }
    LIST_EACH_SAFE (link, &crls->sources) {
        struct source *source = list_item(link, struct source, link);
        if (!is_wanted(source, list, n)) {
            drop(source);
        }
    }
    LIST_EACH_SAFE (link, &fresh) {
        list_remove(link);
        list_append(&crls->sources, link);
    }
    wake(crls);
    return 0;
}

const char *crls_problem(const struct crls *crls, const char *url)
{
    LIST_EACH (link, &crls->sources) {
        const struct source *source = list_item(link, struct source, link);
        if (strcmp(source->url, url) == 0 && source->plan.failures > 0) {
            return source->problem;
        }
    }
    return NULL;
}

/* ---- beginning and end ---- */

struct crls *crls_start(uv_loop_t *loop, crls_fetched *fetched, void *ctx)
{
    struct crls *crls = calloc(1, sizeof(*crls));
    if (crls == NULL) {
        return NULL;
    }
    crls->loop = loop;
    crls->fetched = fetched;
    crls->ctx = ctx;
    crls->held = 1;
    list_init(&crls->sources);
    uv_timer_init(loop, &crls->timer);
    crls->timer.data = crls;
    return crls;
}

static void on_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

struct crls *crls_stop(struct crls *crls)
{
    if (crls != NULL) {
        crls->is_stopped = true;
        drop_all(&crls->sources);
        uv_close((uv_handle_t *)&crls->timer, on_closed);
    }
    return NULL;
}
