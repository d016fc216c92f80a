/* Long jobs of a worker, carried out by another thread while the loop goes on: one at a time, what
 * a caller waits for before what is done ahead of callers, and in both fair between services: each
 * that has jobs waiting gets its turn, however many another one has. All functions are for the
 * loop's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

/* At most so many of one service wait, for callers and ahead of them each, and so many of all. */
#define JOBS_WAITING_MAX     1024
#define JOBS_WAITING_ALL_MAX (8 * JOBS_WAITING_MAX)

struct jobs;
struct job;

/* Whose turn it takes. */
struct job_turn {
    size_t service; /* its id */
    bool is_ahead;  /* of callers: nobody waits for it yet */
};

/* What a job does with its `ctx`, which is the job's own until `done` or `discard` is called, one
 * of them and once. `done` owns it from then on. */
struct job_plan {
    void (*work)(void *ctx);    /* in the other thread */
    void (*done)(void *ctx);    /* on the loop, behind `work`; the job is gone by then */
    void (*discard)(void *ctx); /* on the loop, of a cancelled job: to free it */
};

/* Returns NULL when memory is out. The loop must outlive it. */
struct jobs *jobs_new(uv_loop_t *loop);

/* Waits for the job that runs, if there is one, which is discarded; none may wait. Accepts NULL;
 * returns NULL. */
struct jobs *jobs_free(struct jobs *jobs);

/* Adds a job. Neither `done` nor `discard` is called before this returns; `work` may be under way
 * by then. The plan must outlive the job. Returns NULL, with errno set and `ctx` still the
 * caller's: EAGAIN when too many of the service wait already, EBUSY when too many of all services
 * do, else what this host lacks: ENOMEM, EMFILE or ENFILE. */
struct job *jobs_add(struct jobs *jobs, struct job_turn turn, const struct job_plan *plan,
                     void *ctx);

/* True while jobs wait that are not ahead of callers. */
bool jobs_have_callers(const struct jobs *jobs);

/* Takes out a job that waits; one that runs is left to end, and its result is thrown away. `done`
 * is not called any more; `discard` is, at once or as soon as the thread does not use the context.
 * Accepts NULL; returns NULL. */
struct job *job_cancel(struct job *job);
