#include "control/crl_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW  ((time_t)1800000000)
#define HOUR ((time_t)3600)
#define DAY  (24 * HOUR)
#define MS   50000 /* the monotonic clock */

static void a_new_one_is_due(void **state)
{
    (void)state;
    struct crl_plan plan = {0};
    assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW), 0);
}

static void half_of_its_time_passes_first(void **state)
{
    (void)state;
    static const struct {
        time_t left, wait;
    } cases[] = {
        {100 * DAY, DAY}, {2 * DAY, DAY}, {HOUR, HOUR / 2}, {121, 60}, {119, 60}, {60, 60},
        {50, 25},         {2, 1},         {1, 1},           {0, 1},    {-5, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crl_plan plan = {0};
        crl_plan_success(&plan, NOW + cases[i].left, NOW);
        assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW), cases[i].wait * 1000);
        assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW + cases[i].wait), 0);
    }
}

static void a_clock_that_is_set_counts_at_once(void **state)
{
    (void)state;
    struct crl_plan plan = {0};
    crl_plan_success(&plan, NOW + DAY, NOW);
    assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW + 3650 * DAY), 0);
    assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW - 3650 * DAY), DAY * 1000);
    assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW), 0); /* and back: that day is over */

    crl_plan_failure(&plan, NOW + DAY, MS, NOW);
    assert_true(crl_plan_wait_ms(&plan, MS, NOW) > 0);
    crl_plan_step(&plan, MS);
    assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW), 0);
}

/* Checks the pauses after one failure after the other, a quarter more or less. */
static void check_pauses(time_t left, uint64_t first_ms, uint64_t last_ms)
{
    struct crl_plan plan = {0};
    uint64_t expected = first_ms;
    for (int i = 0; i < 40; i++) {
        crl_plan_failure(&plan, left != 0 ? NOW + left : 0, MS, NOW);
        assert_in_range(crl_plan_wait_ms(&plan, MS, NOW), expected * 3 / 4, expected * 5 / 4);
        assert_int_equal(crl_plan_wait_ms(&plan, MS + expected * 2, NOW), 0);
        expected = expected * 2 < last_ms ? expected * 2 : last_ms;
    }
    crl_plan_success(&plan, NOW + DAY, NOW);
    assert_int_equal(plan.failures, 0);
}

static void failures_make_it_patient(void **state)
{
    (void)state;
    check_pauses(0, 1000, 300000);
    check_pauses(-HOUR, 1000, 300000);
    check_pauses(100 * DAY, 60000, 3600000);
}

static void patience_ends_with_the_file(void **state)
{
    (void)state;
    struct crl_plan plan = {0};
    crl_plan_failure(&plan, NOW + 20, MS, NOW);
    assert_int_equal(crl_plan_wait_ms(&plan, MS, NOW), 21000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_is_due),
        cmocka_unit_test(half_of_its_time_passes_first),
        cmocka_unit_test(a_clock_that_is_set_counts_at_once),
        cmocka_unit_test(failures_make_it_patient),
        cmocka_unit_test(patience_ends_with_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
