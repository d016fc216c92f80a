#include "control/filewatch.h"

#include "control/folders.h"
#include "control/lookout.h"

#include <stdlib.h>

/* Changes come in bursts. */
#define PAUSE_MS 100

/* Between two looks of which nobody has told that they are needed. */
#define SLOW_MS 30000

struct filewatch {
    uv_timer_t timer; /* until the next look */
    uv_work_t work;   /* the look */
    struct folders *folders;
    filewatch_changed *changed;
    void *ctx;

    struct lookout *lookout; /* the look's while there is one */
    struct lookout *next;    /* takes its place after the look, or NULL */
    struct spots spots;      /* for which the folders are watched */
    bool is_looking;
    bool has_failed; /* the look */
    bool is_wanted;  /* another look, soon */
    bool is_stopped;
    bool is_closed; /* the timer */
};

static void on_timer(uv_timer_t *timer);

static void plan(struct filewatch *filewatch, uint64_t again_ms)
{
    uint64_t pause_ms = again_ms < SLOW_MS ? again_ms : SLOW_MS;
    uv_timer_start(&filewatch->timer, on_timer, filewatch->is_wanted ? PAUSE_MS : pause_ms, 0);
}

static void on_event(void *ctx, const char *folder, const char *name)
{
    struct filewatch *filewatch = ctx;
    bool is_other = name != NULL && !spots_have(&filewatch->spots, folder, name);
    if (is_other || filewatch->is_wanted) {
        return;
    }
    filewatch->is_wanted = true;
    if (!filewatch->is_looking) {
        plan(filewatch, 0);
    }
}

static void release(struct filewatch *filewatch)
{
    if (filewatch->is_closed && !filewatch->is_looking) {
        lookout_free(filewatch->lookout);
        lookout_free(filewatch->next);
        spots_release(&filewatch->spots);
        free(filewatch);
    }
}

/* ---- the look ---- */

static void look(uv_work_t *work)
{
    struct filewatch *filewatch = work->data;
    filewatch->has_failed = lookout_look(filewatch->lookout) < 0;
}

/* Watches where changes would show now. What happened there before it was watched is not known:
 * another look has to tell. */
static void watch_anew(struct filewatch *filewatch)
{
    struct lookout *lookout = filewatch->lookout;
    if (folders_watch(filewatch->folders, lookout->places, lookout->n_places)) {
        filewatch->is_wanted = true;
    }
    spots_release(&filewatch->spots);
    filewatch->spots = lookout->spots;
    lookout->spots = (struct spots){0};
    lookout->n_places = 0;
}

static void on_looked(uv_work_t *work, int status)
{
    struct filewatch *filewatch = work->data;
    uint64_t again_ms = UINT64_MAX;
    bool is_due = false;
    (void)status;
    filewatch->is_looking = false;
    if (filewatch->is_stopped) {
        release(filewatch);
        return;
    }
    if (filewatch->next != NULL) {
        lookout_free(filewatch->lookout);
        filewatch->lookout = filewatch->next;
        filewatch->next = NULL;
        filewatch->is_wanted = true;
    } else if (!filewatch->has_failed) {
        watch_anew(filewatch);
        is_due = lookout_judge(filewatch->lookout, &again_ms);
    }
    plan(filewatch, again_ms);
    if (is_due) {
        filewatch->changed(filewatch->ctx);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct filewatch *filewatch = timer->data;
    filewatch->is_wanted = false;
    filewatch->is_looking = uv_queue_work(timer->loop, &filewatch->work, look, on_looked) == 0;
}

/* ---- life ---- */

struct filewatch *filewatch_start(uv_loop_t *loop, filewatch_changed *changed, void *ctx)
{
    struct filewatch *filewatch = calloc(1, sizeof(*filewatch));
    if (filewatch == NULL) {
        return NULL;
    }
    filewatch->folders = folders_new(loop, on_event, filewatch);
    filewatch->lookout = lookout_new(NULL, 0);
    if (filewatch->folders == NULL || filewatch->lookout == NULL) {
        folders_free(filewatch->folders);
        lookout_free(filewatch->lookout);
        free(filewatch);
        return NULL;
    }
    filewatch->changed = changed;
    filewatch->ctx = ctx;
    filewatch->work.data = filewatch;
    uv_timer_init(loop, &filewatch->timer);
    filewatch->timer.data = filewatch;
    return filewatch;
}

int filewatch_set(struct filewatch *filewatch, const struct filewatch_file *files, size_t n)
{
    struct lookout *lookout = lookout_new(files, n);
    if (lookout == NULL) {
        return -1;
    }
    if (filewatch->is_looking) {
        lookout_free(filewatch->next);
        filewatch->next = lookout;
        return 0;
    }
    lookout_free(filewatch->lookout);
    filewatch->lookout = lookout;
    uv_timer_start(&filewatch->timer, on_timer, 0, 0);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct filewatch *filewatch = handle->data;
    filewatch->is_closed = true;
    release(filewatch);
}

struct filewatch *filewatch_stop(struct filewatch *filewatch)
{
    if (filewatch != NULL) {
        filewatch->is_stopped = true;
        filewatch->folders = folders_free(filewatch->folders);
        uv_close((uv_handle_t *)&filewatch->timer, on_closed);
        if (filewatch->is_looking) {
            uv_cancel((uv_req_t *)&filewatch->work);
        }
    }
    return NULL;
}
