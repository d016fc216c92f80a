/* When a deadline passes: never early; late, where the loop was kept, behind the one turn that what
 * came in time is given; and never again, however long the turns go on to take. The turns are made
 * long by a check, which libuv runs behind what has come. */
#include "base/clock.h"
#include "worker/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SOON_MS 10
#define LONG_MS 120 /* longer than what is late at once */

/* A loop with one deadline. */
struct rig {
    uv_loop_t loop;
    struct deadline *deadline;
    unsigned n_passed;
    uint64_t passed_ms;
    void (*then)(struct rig *rig); /* what to do when it passes, or NULL */

    uv_check_t turn;
    unsigned turn_ms; /* that each turn takes */
    unsigned n_turns;

    uv_pipe_t door;
    bool was_heard; /* what lay at the door */
};

static void take(unsigned ms)
{
    uint64_t end_ms = clock_ms() + ms;
    while (clock_ms() < end_ms) {
        struct timespec left = {.tv_nsec = 1000000};
        nanosleep(&left, NULL);
    }
}

static void on_turn(uv_check_t *check)
{
    struct rig *rig = check->data;
    rig->n_turns++;
    take(rig->turn_ms);
}

static void on_passed(void *ctx)
{
    struct rig *rig = ctx;
    rig->n_passed++;
    rig->passed_ms = clock_ms();
    if (rig->then != NULL) {
        rig->then(rig);
    }
}

static int open_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_check_init(&rig->loop, &rig->turn);
    rig->turn.data = rig;
    uv_check_start(&rig->turn, on_turn);
    rig->deadline = deadline_new(&rig->loop, on_passed, rig);
    assert_non_null(rig->deadline);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    rig->turn_ms = 0;
    deadline_free(rig->deadline);
    uv_close((uv_handle_t *)&rig->turn, NULL);
    if (uv_handle_get_type((uv_handle_t *)&rig->door) == UV_NAMED_PIPE) {
        uv_close((uv_handle_t *)&rig->door, NULL);
    }
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&rig->loop);
    free(rig);
    return rc;
}

static void run_turns(struct rig *rig, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uv_run(&rig->loop, UV_RUN_NOWAIT);
    }
}

/* Runs the loop until the deadline has passed so often. The test's own limit ends what hangs. */
static void run_until_passed(struct rig *rig, unsigned n)
{
    uint64_t end_ms = clock_ms() + 30000;
    while (rig->n_passed < n && clock_ms() < end_ms) {
        uv_run(&rig->loop, UV_RUN_ONCE);
    }
    assert_int_equal(rig->n_passed, n);
}

static void test_it_passes_once_and_never_early(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t set_ms = clock_ms();
        deadline_set(rig->deadline, SOON_MS);
        run_until_passed(rig, i + 1);
        assert_true(rig->passed_ms - set_ms >= SOON_MS);
    }
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_int_equal(rig->n_passed, 10);
}

/* The loop's clock stands still within a turn; it must not be what is counted from. */
static void test_it_is_not_early_when_it_was_set_late_in_a_turn(void **state)
{
    struct rig *rig = *state;
    uv_update_time(&rig->loop);
    take(2 * SOON_MS);
    uint64_t set_ms = clock_ms();
    deadline_set(rig->deadline, SOON_MS);
    run_until_passed(rig, 1);
    assert_true(rig->passed_ms - set_ms >= SOON_MS);
}

static void on_door(uv_stream_t *door, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    struct rig *rig = door->data;
    if (n > 0) {
        rig->was_heard = true;
        deadline_clear(rig->deadline);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)handle;
    (void)suggested;
    static char space[16];
    *ret_buf = uv_buf_init(space, sizeof(space));
}

/* Puts a byte where the loop will find it, as a backend's answer that came in time. */
static void leave_at_door(struct rig *rig)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(uv_pipe_init(&rig->loop, &rig->door, 0), 0);
    rig->door.data = rig;
    assert_int_equal(uv_pipe_open(&rig->door, fds[0]), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&rig->door, on_alloc, on_door), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    close(fds[1]);
}

static void test_what_came_in_time_is_heard_before_a_late_one_passes(void **state)
{
    struct rig *rig = *state;
    deadline_set(rig->deadline, SOON_MS);
    leave_at_door(rig);
    take(SOON_MS + LONG_MS); /* as a process that was stopped */
    uv_update_time(&rig->loop);
    run_turns(rig, 3);
    assert_true(rig->was_heard);
    assert_int_equal(rig->n_passed, 0);
}

static void test_a_late_one_is_given_one_turn(void **state)
{
    struct rig *rig = *state;
    deadline_set(rig->deadline, SOON_MS);
    take(SOON_MS + LONG_MS);
    uv_update_time(&rig->loop);
    run_until_passed(rig, 1);
    assert_in_range(rig->n_turns, 1, 5); /* libuv's versions differ in where they begin */
}

/* An overloaded loop is late in each turn; its deadlines are what ends that. */
static void test_it_passes_although_each_turn_is_long(void **state)
{
    struct rig *rig = *state;
    rig->turn_ms = LONG_MS;
    deadline_set(rig->deadline, SOON_MS);
    run_turns(rig, 4);
    assert_int_equal(rig->n_passed, 1);
}

static void test_each_one_that_is_set_anew_has_its_own_turn(void **state)
{
    struct rig *rig = *state;
    rig->turn_ms = LONG_MS;
    for (unsigned i = 1; i <= 3; i++) {
        deadline_set(rig->deadline, SOON_MS);
        run_turns(rig, 4);
        assert_int_equal(rig->n_passed, i);
    }
}

static void set_again(struct rig *rig)
{
    if (rig->n_passed == 1) {
        deadline_set(rig->deadline, SOON_MS);
    }
}

static void test_it_is_set_anew_when_it_passes(void **state)
{
    struct rig *rig = *state;
    uint64_t set_ms = clock_ms();
    rig->then = set_again;
    deadline_set(rig->deadline, SOON_MS);
    run_until_passed(rig, 2);
    assert_true(rig->passed_ms - set_ms >= 2 * SOON_MS);
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_int_equal(rig->n_passed, 2);
}

static void clear(struct rig *rig)
{
    deadline_clear(rig->deadline);
}

static void test_it_is_cleared_when_it_passes(void **state)
{
    struct rig *rig = *state;
    rig->then = clear;
    deadline_set(rig->deadline, SOON_MS);
    run_until_passed(rig, 1);
    take(2 * SOON_MS);
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_int_equal(rig->n_passed, 1);
}

static void test_one_that_was_cleared_does_not_pass(void **state)
{
    struct rig *rig = *state;
    deadline_set(rig->deadline, SOON_MS);
    deadline_clear(rig->deadline);
    take(2 * SOON_MS);
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    assert_int_equal(rig->n_passed, 0);
}

/* Its turn is the new one's then. */
static void test_one_that_is_late_is_set_anew_in_its_turn(void **state)
{
    struct rig *rig = *state;
    deadline_set(rig->deadline, SOON_MS);
    take(SOON_MS + LONG_MS);
    uv_run(&rig->loop, UV_RUN_NOWAIT); /* it is found late */
    assert_int_equal(rig->n_passed, 0);
    uint64_t set_ms = clock_ms();
    deadline_set(rig->deadline, 2 * SOON_MS);
    run_until_passed(rig, 1);
    assert_true(rig->passed_ms - set_ms >= 2 * SOON_MS);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_passes_once_and_never_early),
        TEST(test_it_is_not_early_when_it_was_set_late_in_a_turn),
        TEST(test_what_came_in_time_is_heard_before_a_late_one_passes),
        TEST(test_a_late_one_is_given_one_turn),
        TEST(test_it_passes_although_each_turn_is_long),
        TEST(test_each_one_that_is_set_anew_has_its_own_turn),
        TEST(test_it_is_set_anew_when_it_passes),
        TEST(test_it_is_cleared_when_it_passes),
        TEST(test_one_that_was_cleared_does_not_pass),
        TEST(test_one_that_is_late_is_set_anew_in_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
