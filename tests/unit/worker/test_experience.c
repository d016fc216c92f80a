/* What closes, failures and long lives teach about a backend, on a clock of the test's own. */
#include "worker/experience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define START   1000000
#define MAX_AGE 40000

static const struct service service = {.name = "backend", .prewarm_max_age_ms = MAX_AGE};
static const struct addr nowhere;

static struct experience fresh(void)
{
    struct experience experience;
    experience_init(&experience, &service);
    return experience;
}

static void refuse(struct experience *experience, uint64_t now_ms)
{
    struct failure failure;
    failure_set(&failure, REASON_connect_refused, "nobody is there");
    experience_note_failure(experience, now_ms, &nowhere, &failure);
}

static struct life begun(uint64_t at_ms)
{
    return (struct life){.begun_ms = at_ms, .up_ms = at_ms + 15, .ready_ms = at_ms + 20};
}

/* Of one that was begun then. */
static void close_after(struct experience *experience, uint64_t at_ms, uint64_t age_ms)
{
    struct failure failure;
    struct life life = begun(at_ms);
    failure_set_by_peer(&failure, REASON_upstream_reset, "gone");
    experience_note_close(experience, life.up_ms + age_ms, &life, &nowhere, &failure);
}

/* Of two, the second being begun when the first has been closed. */
static void close_twice(struct experience *experience, uint64_t at_ms, uint64_t age_ms)
{
    close_after(experience, at_ms, age_ms);
    close_after(experience, at_ms + age_ms + 15, age_ms);
}

static void test_all_is_well_at_first(void **state)
{
    struct experience experience = fresh();
    (void)state;
    assert_int_equal(experience.max_age_ms, MAX_AGE);
    assert_true(backoff_is_over(&experience.backoff, START));
    assert_false(experience_encourage(&experience));
}

static void test_a_repeated_close_shortens_the_life(void **state)
{
    struct experience experience = fresh();
    (void)state;
    close_twice(&experience, START, 20000);
    assert_int_equal(experience.max_age_ms, 15000);
    assert_true(backoff_is_over(&experience.backoff, START + 40030)); /* which is no failure */
    close_twice(&experience, START + 100000, 30000);
    assert_int_equal(experience.max_age_ms, 15000);
    close_twice(&experience, START + 200000, 10000);
    assert_int_equal(experience.max_age_ms, 7500);
}

/* Those that wait were begun at different times, and so they end. */
static void test_a_limit_shows_where_sessions_take_turns(void **state)
{
    struct experience experience = fresh();
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        close_after(&experience, START + i * 5000, 20000);
        assert_int_equal(experience.max_age_ms, MAX_AGE);
    }
    close_after(&experience, START + 20100, 20000);
    assert_int_equal(experience.max_age_ms, 15000);
}

static void test_restarts_teach_nothing(void **state)
{
    struct experience experience = fresh();
    (void)state;
    for (uint64_t at = START; at < START + 1000000; at += 100000) {
        close_after(&experience, at, 30000);
        close_after(&experience, at + 10000, 20000);
        close_after(&experience, at + 29900, 100);
    }
    close_after(&experience, START + 2000000, 30000);
    close_after(&experience, START + 2030100, 10000); /* too soon for the same limit */
    assert_int_equal(experience.max_age_ms, MAX_AGE);
    assert_int_equal(experience.backoff.failures, 0);
    assert_false(experience.is_unwanted);
}

static void test_a_longer_life_is_tried_again(void **state)
{
    struct experience experience = fresh();
    struct life life = begun(START);
    (void)state;
    close_twice(&experience, START, 20000);
    uint64_t then = experience.changed_ms;
    experience_note_age(&experience, then + 4 * 15000 - 1, &life);
    assert_int_equal(experience.max_age_ms, 15000);
    experience_note_age(&experience, then + 4 * 15000, &life);
    assert_int_equal(experience.max_age_ms, 15000 + 15000 / 16 + 1);
    for (unsigned i = 1; i <= 100; i++) {
        experience_note_age(&experience, then + i * 4 * (uint64_t)MAX_AGE, &life);
    }
    assert_int_equal(experience.max_age_ms, MAX_AGE);
}

/* They teach nothing of an age. */
static void test_closes_at_once_are_failures(void **state)
{
    struct experience experience = fresh();
    (void)state;
    close_after(&experience, START, 1004);
    assert_int_equal(experience.backoff.failures, 0);
    close_after(&experience, START + 2000, 1004);
    assert_true(experience.is_unwanted);
    assert_true(experience.is_telling);
    assert_int_equal(experience.max_age_ms, MAX_AGE);
    assert_int_equal(experience.backoff.failures, 1);
    close_after(&experience, START + 60000, 300); /* whenever the next comes */
    assert_int_equal(experience.backoff.failures, 2);
    close_after(&experience, START + 62000, 1005);
    assert_int_equal(experience.max_age_ms, 753);
    assert_int_equal(experience.backoff.failures, 2);
}

/* A caller's session says nothing about those that wait. */
static void test_callers_encourage_after_failures_only(void **state)
{
    struct experience experience = fresh();
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        refuse(&experience, START + i * 10000);
    }
    assert_true(experience.is_telling);
    assert_true(experience_encourage(&experience));
    assert_false(experience_may_try(&experience, START + 30999));
    assert_true(experience_may_try(&experience, START + 31000));
    assert_false(experience_encourage(&experience));
    assert_true(experience.is_telling);

    experience = fresh();
    for (uint64_t at = START; at < START + 50000; at += 10000) {
        close_twice(&experience, at, 100);
    }
    assert_false(experience_encourage(&experience));
}

static void test_what_was_begun_later_and_lasts_is_a_proof(void **state)
{
    struct experience experience = fresh();
    struct life life = begun(START + 230);
    (void)state;
    close_twice(&experience, START, 100);
    experience_note_proof(&experience, &life);
    assert_true(experience.is_unwanted);
    life.begun_ms++;
    experience_note_proof(&experience, &life);
    assert_false(experience.is_unwanted);
    assert_false(experience.is_telling);
    assert_int_equal(experience.backoff.failures, 0);
    assert_false(experience_is_lasting(life.ready_ms + 999, &life));
    assert_true(experience_is_lasting(life.ready_ms + 1000, &life));
}

static void prove(struct experience *experience, uint64_t at_ms)
{
    struct life life = begun(at_ms);
    experience_note_proof(experience, &life);
}

/* One of two nodes is ill: some attempts succeed between those that fail. */
static void test_a_row_of_failures_ends_with_a_minute_without(void **state)
{
    struct experience experience = fresh();
    (void)state;
    refuse(&experience, START);
    assert_true(experience.is_telling);
    for (unsigned i = 1; i <= 10; i++) {
        uint64_t now = START + i * 50000;
        prove(&experience, now - 1);
        assert_false(experience.is_telling);
        refuse(&experience, now);
        assert_false(experience.is_telling);
    }
    prove(&experience, START + 500001);
    refuse(&experience, START + 560000);
    assert_true(experience.is_telling);
}

static void test_elsewhere_one_is_tried_soon(void **state)
{
    struct experience experience = fresh();
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        refuse(&experience, START + i * 50000);
    }
    experience.is_unwanted = true;
    experience_start_over(&experience);
    assert_false(experience.is_unwanted);
    assert_true(experience.is_telling);
    assert_false(experience_may_try(&experience, START + 450999));
    assert_true(experience_may_try(&experience, START + 451000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well_at_first),
        cmocka_unit_test(test_a_repeated_close_shortens_the_life),
        cmocka_unit_test(test_a_limit_shows_where_sessions_take_turns),
        cmocka_unit_test(test_restarts_teach_nothing),
        cmocka_unit_test(test_a_longer_life_is_tried_again),
        cmocka_unit_test(test_closes_at_once_are_failures),
        cmocka_unit_test(test_callers_encourage_after_failures_only),
        cmocka_unit_test(test_what_was_begun_later_and_lasts_is_a_proof),
        cmocka_unit_test(test_a_row_of_failures_ends_with_a_minute_without),
        cmocka_unit_test(test_elsewhere_one_is_tried_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
