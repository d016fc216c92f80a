/* Who runs, in which order, and who is told: services in turn, one at a time, bounds on those that
 * wait, and jobs that are cancelled at any moment. A held job keeps its thread until it is let go,
 * so nothing here depends on time. */
#include "base/clock.h"
#include "worker/jobs.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

enum { TOLD_MAX = 64 };

struct rig {
    uv_loop_t loop;
    struct jobs *jobs;
    sem_t gate; /* a held job takes one of it */
    _Atomic(int) n_begun, n_running, most_running, most_nice;
    _Atomic(bool) was_on_loop; /* some work was done in the loop's own thread */
    pthread_t thread;          /* the loop's */

    char told[TOLD_MAX]; /* the names of those that are done, in their order */
    unsigned n_done, n_discarded;
};

/* What a job has to do. */
struct task {
    struct rig *rig;
    char name;
    bool is_held;
    bool adds_another;
};

static void note_most(_Atomic(int) *ret_most, int now)
{
    int most = atomic_load(ret_most);
    while (now > most && !atomic_compare_exchange_weak(ret_most, &most, now)) {
    }
}

static void work(void *ctx)
{
    const struct task *task = ctx;
    struct rig *rig = task->rig;
    note_most(&rig->most_running, atomic_fetch_add(&rig->n_running, 1) + 1);
    note_most(&rig->most_nice, getpriority(PRIO_PROCESS, 0));
    if (pthread_equal(pthread_self(), rig->thread)) {
        atomic_store(&rig->was_on_loop, true);
    }
    atomic_fetch_add(&rig->n_begun, 1);
    while (task->is_held && sem_wait(&rig->gate) < 0) {
    }
    atomic_fetch_sub(&rig->n_running, 1);
}

static struct job *add(struct rig *rig, char name, bool is_held);

static void done(void *ctx)
{
    struct task *task = ctx;
    struct rig *rig = task->rig;
    if (rig->n_done < TOLD_MAX - 1) {
        rig->told[rig->n_done] = task->name;
    }
    rig->n_done++;
    if (task->adds_another) {
        assert_non_null(add(rig, task->name, false));
    }
    free(task);
}

static void discard(void *ctx)
{
    struct task *task = ctx;
    task->rig->n_discarded++;
    free(task);
}

static struct task *make_task(struct rig *rig, char name, bool is_held)
{
    struct task *task = calloc(1, sizeof(*task));
    assert_non_null(task);
    task->rig = rig;
    task->name = name;
    task->is_held = is_held;
    return task;
}

static const struct job_plan plan = {work, done, discard};

/* A job in capitals is done ahead of callers. */
static struct job_turn turn_of(char name)
{
    return (struct job_turn){.service = (size_t)tolower(name), .is_ahead = isupper(name) != 0};
}

/* Adds a job for the service of that name. Returns NULL when it was refused. */
static struct job *add(struct rig *rig, char name, bool is_held)
{
    struct task *task = make_task(rig, name, is_held);
    struct job *job = jobs_add(rig->jobs, turn_of(name), &plan, task);
    if (job == NULL) {
        free(task);
    }
    return job;
}

static void add_all(struct rig *rig, const char *names)
{
    for (; *names != '\0'; names++) {
        assert_non_null(add(rig, *names, false));
    }
}

/* Waits for the threads. The test's own limit ends what hangs. */
static void wait_begun(struct rig *rig, int n)
{
    uint64_t end_ms = clock_ms() + 30000;
    while (atomic_load(&rig->n_begun) < n && clock_ms() < end_ms) {
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
    }
    assert_int_equal(atomic_load(&rig->n_begun), n);
}

/* Keeps the thread busy until it is let go. */
static struct job *hold(struct rig *rig)
{
    struct job *held = add(rig, 'z', true);
    assert_non_null(held);
    wait_begun(rig, 1);
    return held;
}

static void let_go(struct rig *rig, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(sem_post(&rig->gate), 0);
    }
}

/* Until no job is left: each keeps the loop alive. */
static void run_out(struct rig *rig)
{
    assert_int_equal(uv_run(&rig->loop, UV_RUN_DEFAULT), 0);
}

static void run_until_done(struct rig *rig, unsigned n)
{
    uint64_t end_ms = clock_ms() + 30000;
    while (rig->n_done < n && clock_ms() < end_ms) {
        uv_run(&rig->loop, UV_RUN_ONCE);
    }
    assert_int_equal(rig->n_done, n);
}

static int open_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    assert_int_equal(sem_init(&rig->gate, 0, 0), 0);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->thread = pthread_self();
    rig->jobs = jobs_new(&rig->loop);
    assert_non_null(rig->jobs);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    let_go(rig, TOLD_MAX); /* whom a failed test has left */
    jobs_free(rig->jobs);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&rig->loop);
    sem_destroy(&rig->gate);
    free(rig);
    return rc;
}

static void test_it_is_done_behind_the_work_of_another_thread(void **state)
{
    struct rig *rig = *state;
    assert_non_null(add(rig, 'a', false));
    wait_begun(rig, 1);
    assert_int_equal(rig->n_done, 0); /* the loop has not run */
    run_out(rig);
    assert_string_equal(rig->told, "a");
    assert_int_equal(rig->n_discarded, 0);
    assert_false(atomic_load(&rig->was_on_loop));
}

static void test_the_threads_are_nicer_than_the_loop(void **state)
{
    struct rig *rig = *state;
    int own = getpriority(PRIO_PROCESS, 0);
    add_all(rig, "abcdefgh");
    run_out(rig);
    int theirs = atomic_load(&rig->most_nice);
    assert_true(theirs > own || own == 19);
    assert_true(theirs <= own + 10); /* however often they have worked */
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
}

/* Each is held, so that one which was begun too early would be seen beside it. */
static void test_one_runs_at_a_time(void **state)
{
    struct rig *rig = *state;
    for (const char *name = "aaabbbccc"; *name != '\0'; name++) {
        assert_non_null(add(rig, *name, true));
    }
    for (unsigned n = 1; n <= 9; n++) {
        wait_begun(rig, (int)n);
        let_go(rig, 1);
        run_until_done(rig, n);
    }
    run_out(rig);
    assert_int_equal(atomic_load(&rig->most_running), 1);
}

/* Jobs are done in the order in which they are chosen. */
static void expect_order(struct rig *rig, const char *order)
{
    let_go(rig, 1);
    run_until_done(rig, 1 + (unsigned)strlen(order));
    assert_string_equal(rig->told + 1, order);
    run_out(rig);
}

static void test_services_have_their_turns(void **state)
{
    struct rig *rig = *state;
    hold(rig);
    add_all(rig, "aaaaaabbc");
    expect_order(rig, "abcabaaaa");
}

static void test_a_late_service_does_not_wait_for_all_of_another(void **state)
{
    struct rig *rig = *state;
    hold(rig);
    add_all(rig, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    expect_order(rig, "abaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

static void test_callers_come_first(void **state)
{
    struct rig *rig = *state;
    hold(rig);
    add_all(rig, "AAABabAb");
    expect_order(rig, "abbABAAA");
}

/* One that comes again as soon as it was served comes behind all who wait. */
static void test_who_comes_again_is_last(void **state)
{
    struct rig *rig = *state;
    hold(rig);
    struct task *task = make_task(rig, 'a', false);
    task->adds_another = true;
    assert_non_null(jobs_add(rig->jobs, turn_of('a'), &plan, task));
    add_all(rig, "bbcc");
    expect_order(rig, "abcbac");
}

/* As many of a service as may wait; the last of them. */
static struct job *crowd(struct rig *rig, char name)
{
    struct job *last = NULL;
    for (unsigned i = 0; i < JOBS_WAITING_MAX; i++) {
        last = add(rig, name, false);
        assert_non_null(last);
    }
    return last;
}

static void expect_refused(struct rig *rig, char name, int error)
{
    errno = 0;
    assert_null(add(rig, name, false));
    assert_int_equal(errno, error);
}

static void test_only_so_many_of_a_service_wait(void **state)
{
    struct rig *rig = *state;
    hold(rig);
    struct job *last = crowd(rig, 'a');
    expect_refused(rig, 'a', EAGAIN);
    add_all(rig, "Ab"); /* a crowd is no reason to refuse others */
    expect_refused(rig, 'a', EAGAIN);

    job_cancel(last);
    add_all(rig, "a");
    expect_refused(rig, 'a', EAGAIN);
    let_go(rig, 1);
    run_out(rig);
    assert_int_equal(rig->n_done, 1 + JOBS_WAITING_MAX + 2);
    assert_int_equal(rig->n_discarded, 1);
}

static void test_only_so_many_of_all_services_wait(void **state)
{
    struct rig *rig = *state;
    hold(rig);
    struct job *last = NULL;
    for (unsigned i = 0; i < JOBS_WAITING_ALL_MAX / JOBS_WAITING_MAX; i++) {
        last = crowd(rig, (char)('a' + i));
    }
    expect_refused(rig, 'y', EBUSY);
    expect_refused(rig, 'a', EAGAIN);

    job_cancel(last);
    add_all(rig, "y");
    expect_refused(rig, 'y', EBUSY);
    let_go(rig, 1);
    run_out(rig);
    assert_int_equal(rig->n_done, 1 + JOBS_WAITING_ALL_MAX);
    assert_int_equal(rig->n_discarded, 1);
}

static void test_one_that_waits_is_taken_out(void **state)
{
    struct rig *rig = *state;
    hold(rig);
    add_all(rig, "ab");
    struct job *second = add(rig, 'a', false), *only = add(rig, 'c', false);
    add_all(rig, "a");
    assert_null(job_cancel(second));
    assert_int_equal(rig->n_discarded, 1);
    assert_null(job_cancel(only));
    assert_int_equal(rig->n_discarded, 2);
    expect_order(rig, "aba");
    assert_int_equal(atomic_load(&rig->n_begun), 1 + 3);
}

static void test_one_that_runs_is_left_to_end(void **state)
{
    struct rig *rig = *state;
    struct job *held = hold(rig);
    assert_null(job_cancel(held));
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_int_equal(rig->n_discarded, 0); /* its thread still uses it */
    let_go(rig, 1);
    run_out(rig);
    assert_int_equal(rig->n_discarded, 1);
    assert_int_equal(rig->n_done, 0);
}

/* Its work is over, and its end has not been told yet. */
static void test_one_that_has_ended_is_not_told(void **state)
{
    struct rig *rig = *state;
    struct job *job = add(rig, 'a', false);
    wait_begun(rig, 1);
    while (atomic_load(&rig->n_running) > 0) {
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
    }
    job_cancel(job);
    run_out(rig);
    assert_int_equal(rig->n_discarded, 1);
    assert_int_equal(rig->n_done, 0);
}

static void test_the_place_of_a_cancelled_one_is_given_on(void **state)
{
    struct rig *rig = *state;
    struct job *held = hold(rig);
    add_all(rig, "ab");
    job_cancel(held);
    let_go(rig, 1);
    run_out(rig);
    assert_int_equal(rig->n_done, 2);
    assert_int_equal(rig->n_discarded, 1);
}

/* As a worker that is told to stop does: all is cancelled. */
static void test_all_can_be_given_up_at_any_moment(void **state)
{
    struct rig *rig = *state;
    struct job *held = hold(rig), *waiting[10];
    for (unsigned i = 0; i < 10; i++) {
        waiting[i] = add(rig, (char)('a' + i % 3), false);
    }
    job_cancel(held);
    for (unsigned i = 0; i < 10; i++) {
        job_cancel(waiting[i]);
    }
    assert_int_equal(rig->n_discarded, 10);
    let_go(rig, 1);
    rig->jobs = jobs_free(rig->jobs); /* which waits */
    assert_int_equal(rig->n_discarded, 1 + 10);
    assert_int_equal(rig->n_done, 0);
    assert_int_equal(atomic_load(&rig->n_begun), 1);
}

static void test_nothing_is_accepted_where_nothing_is(void **state)
{
    (void)state;
    assert_null(job_cancel(NULL));
    assert_null(jobs_free(NULL));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_is_done_behind_the_work_of_another_thread),
        TEST(test_the_threads_are_nicer_than_the_loop),
        TEST(test_one_runs_at_a_time),
        TEST(test_services_have_their_turns),
        TEST(test_a_late_service_does_not_wait_for_all_of_another),
        TEST(test_callers_come_first),
        TEST(test_who_comes_again_is_last),
        TEST(test_only_so_many_of_a_service_wait),
        TEST(test_only_so_many_of_all_services_wait),
        TEST(test_one_that_waits_is_taken_out),
        TEST(test_one_that_runs_is_left_to_end),
        TEST(test_one_that_has_ended_is_not_told),
        TEST(test_the_place_of_a_cancelled_one_is_given_on),
        TEST(test_all_can_be_given_up_at_any_moment),
        cmocka_unit_test(test_nothing_is_accepted_where_nothing_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
