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

/* Of one that was begun at START and was ready 20 ms later. */
static void close_after(struct experience *experience, uint64_t age_ms)
{
    struct failure failure;
    failure_set_by_peer(&failure, REASON_upstream_reset, "gone");
    experience_note_close(experience, START + age_ms, START, START + 20, &nowhere, &failure);
}

static void test_all_is_well_at_first(void **state)
{
    struct experience experience = fresh();
    (void)state;
    assert_int_equal(experience.max_age_ms, MAX_AGE);
    assert_true(backoff_is_over(&experience.backoff, START));
    assert_false(experience_encourage(&experience));
}

static void test_a_close_shortens_the_life(void **state)
{
    struct experience experience = fresh();
    (void)state;
    close_after(&experience, 20000);
    assert_int_equal(experience.max_age_ms, 15000);
    assert_true(backoff_is_over(&experience.backoff, START + 20000)); /* which is no failure */
    close_after(&experience, 30000);
    assert_int_equal(experience.max_age_ms, 15000);
    close_after(&experience, 10000);
    assert_int_equal(experience.max_age_ms, 7500);
}

static void test_a_longer_life_is_tried_again(void **state)
{
    struct experience experience = fresh();
    (void)state;
    close_after(&experience, 20000);
    uint64_t then = START + 20000;
    experience_note_age(&experience, then + 4 * 15000 - 1, START);
    assert_int_equal(experience.max_age_ms, 15000);
    experience_note_age(&experience, then + 4 * 15000, START);
    assert_int_equal(experience.max_age_ms, 15000 + 15000 / 16 + 1);
    for (unsigned i = 1; i <= 100; i++) {
        experience_note_age(&experience, then + i * 4 * (uint64_t)MAX_AGE, START);
    }
    assert_int_equal(experience.max_age_ms, MAX_AGE);
}

/* They teach nothing of an age. */
static void test_closes_at_once_are_failures(void **state)
{
    struct experience experience = fresh();
    (void)state;
    close_after(&experience, 1019);
    assert_true(experience.is_unwanted);
    assert_true(experience.is_telling);
    assert_int_equal(experience.max_age_ms, MAX_AGE);
    assert_int_equal(experience.backoff.failures, 1);
    close_after(&experience, 1020);
    assert_int_equal(experience.max_age_ms, 765);
    assert_int_equal(experience.backoff.failures, 1);
}

/* A caller's session says nothing about those that wait. */
static void test_callers_encourage_after_failures_only(void **state)
{
    struct experience experience = fresh();
    (void)state;
    refuse(&experience, START);
    assert_true(experience.is_telling);
    assert_true(experience_encourage(&experience));
    assert_true(backoff_is_over(&experience.backoff, START));
    assert_false(experience.is_telling);

    close_after(&experience, 100);
    assert_false(experience_encourage(&experience));
    assert_int_equal(experience.backoff.failures, 1);
}

static void test_what_was_begun_later_and_lasts_is_a_proof(void **state)
{
    struct experience experience = fresh();
    (void)state;
    close_after(&experience, 100);
    experience_note_proof(&experience, START + 100);
    assert_true(experience.is_unwanted);
    experience_note_proof(&experience, START + 101);
    assert_false(experience.is_unwanted);
    assert_false(experience.is_telling);
    assert_int_equal(experience.backoff.failures, 0);
    assert_false(experience_is_lasting(START + 999, START));
    assert_true(experience_is_lasting(START + 1000, START));
}

static void test_elsewhere_all_begins_anew(void **state)
{
    struct experience experience = fresh();
    (void)state;
    close_after(&experience, 100);
    experience_start_over(&experience);
    assert_false(experience.is_unwanted);
    assert_false(experience.is_telling);
    assert_true(backoff_is_over(&experience.backoff, START + 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well_at_first),
        cmocka_unit_test(test_a_close_shortens_the_life),
        cmocka_unit_test(test_a_longer_life_is_tried_again),
        cmocka_unit_test(test_closes_at_once_are_failures),
        cmocka_unit_test(test_callers_encourage_after_failures_only),
        cmocka_unit_test(test_what_was_begun_later_and_lasts_is_a_proof),
        cmocka_unit_test(test_elsewhere_all_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
