#include "worker/jobs.h"

#include "base/list.h"
#include "worker/hand.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* The jobs of one service that wait, for callers or ahead of them; it is there as long as there are
 * any. */
struct lane {
    struct list link; /* in the order of their turns */
    struct job_turn turn;
    struct list waiting;
    size_t n_waiting;
};

struct jobs {
    uv_loop_t *loop;
    struct list lanes[2]; /* with jobs for callers, and ahead of them */
    size_t n_waiting;
    struct hand *hand;   /* NULL: there was no job yet */
    struct job *running; /* NULL: none */
};

struct job {
    struct jobs *jobs;
    struct lane *lane; /* NULL: it runs */
    struct list link;  /* in the lane */
    const struct job_plan *plan;
    void *ctx;
    bool cancelled;
};

/* NULL when no such job waits. */
static struct lane *find_lane(const struct jobs *jobs, struct job_turn turn)
{
    LIST_EACH (link, &jobs->lanes[turn.is_ahead]) {
        struct lane *lane = list_item(link, struct lane, link);
        if (lane->turn.service == turn.service) {
            return lane;
        }
    }
    return NULL;
}

static struct lane *lane_of(struct jobs *jobs, struct job_turn turn)
{
    struct lane *lane = find_lane(jobs, turn);
    if (lane != NULL) {
        return lane;
    }
    lane = calloc(1, sizeof(*lane));
    if (lane != NULL) {
        lane->turn = turn;
        list_init(&lane->waiting);
        list_append(&jobs->lanes[turn.is_ahead], &lane->link);
    }
    return lane;
}

static void enter_lane(struct job *job, struct lane *lane)
{
    job->lane = lane;
    list_append(&lane->waiting, &job->link);
    lane->n_waiting++;
    job->jobs->n_waiting++;
}

static void leave_lane(struct job *job)
{
    struct lane *lane = job->lane;
    job->lane = NULL;
    job->jobs->n_waiting--;
    lane->n_waiting--;
    list_remove(&job->link);
    if (list_empty(&lane->waiting)) {
        list_remove(&lane->link);
        free(lane);
    }
}

/* The oldest of the service whose turn it is, which is the last to get the next one. */
static struct job *next_job(const struct jobs *jobs)
{
    bool is_ahead = list_empty(&jobs->lanes[false]);
    const struct lane *lane = list_item(jobs->lanes[is_ahead].next, struct lane, link);
    return list_item(lane->waiting.next, struct job, link);
}

static void run_next(struct jobs *jobs)
{
    if (jobs->running != NULL || jobs->n_waiting == 0) {
        return;
    }
    struct job *job = next_job(jobs);
    struct lane *lane = job->lane;
    list_remove(&lane->link);
    list_append(&jobs->lanes[lane->turn.is_ahead], &lane->link);
    leave_lane(job);
    jobs->running = job;
    hand_do(jobs->hand, job->plan->work, job->ctx);
}

static void on_over(void *ctx)
{
    struct jobs *jobs = ctx;
    struct job *job = jobs->running;
    void (*tell)(void *ctx) = job->cancelled ? job->plan->discard : job->plan->done;
    void *job_ctx = job->ctx;
    free(job);
    jobs->running = NULL;
    run_next(jobs);
    tell(job_ctx);
}

/* Why one more is refused, as an errno; 0 where it is not. */
static int refusal(const struct jobs *jobs, struct job_turn turn)
{
    const struct lane *lane = find_lane(jobs, turn);
    if (lane != NULL && lane->n_waiting >= JOBS_WAITING_MAX) {
        return EAGAIN;
    }
    return jobs->n_waiting >= JOBS_WAITING_ALL_MAX ? EBUSY : 0;
}

struct job *jobs_add(struct jobs *jobs, struct job_turn turn, const struct job_plan *plan,
                     void *ctx)
{
    int error = refusal(jobs, turn);
    if (error == 0 && jobs->hand == NULL) {
        jobs->hand = hand_new(jobs->loop, on_over, jobs);
        error = jobs->hand == NULL ? errno : 0;
    }
    if (error != 0) {
        errno = error;
        return NULL;
    }
    struct job *job = calloc(1, sizeof(*job));
    struct lane *lane = job != NULL ? lane_of(jobs, turn) : NULL;
    if (lane == NULL) {
        free(job);
        errno = ENOMEM;
        return NULL;
    }
    job->jobs = jobs;
    job->plan = plan;
    job->ctx = ctx;
    enter_lane(job, lane);
    run_next(jobs);
    return job;
}

bool jobs_have_callers(const struct jobs *jobs)
{
    return !list_empty(&jobs->lanes[false]);
}

struct job *job_cancel(struct job *job)
{
    if (job == NULL) {
        return NULL;
    }
    if (job->lane == NULL) {
        job->cancelled = true;
        return NULL;
    }
    leave_lane(job);
    job->plan->discard(job->ctx);
    free(job);
    return NULL;
}

struct jobs *jobs_new(uv_loop_t *loop)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));
    if (jobs != NULL) {
        jobs->loop = loop;
        list_init(&jobs->lanes[false]);
        list_init(&jobs->lanes[true]);
    }
    return jobs;
}

struct jobs *jobs_free(struct jobs *jobs)
{
    if (jobs != NULL) {
        hand_free(jobs->hand);
        if (jobs->running != NULL) {
            jobs->running->plan->discard(jobs->running->ctx);
            free(jobs->running);
        }
        free(jobs);
    }
    return NULL;
}
