/* Failures make the pauses longer, and only what was begun behind the last of them ends that. */
#include "worker/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define START 1000000
#define FAR   100000

static void test_nothing_has_failed_yet(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    assert_true(backoff_is_over(&backoff, 0));
    assert_true(backoff_is_over(&backoff, START));
}

static void test_pauses_double_up_to_a_limit(void **state)
{
    static const uint64_t pauses[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct backoff backoff = {0};
    uint64_t now = START;
    (void)state;
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
        backoff_fail(&backoff, now);
        assert_false(backoff_is_over(&backoff, now + pauses[i] / 2 - 1));
        assert_true(backoff_is_over(&backoff, now + pauses[i]));
        now += pauses[i];
    }
    assert_int_equal(backoff.failures, 8);
}

static void test_those_that_fail_together_count_once(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        backoff_fail(&backoff, START + i);
    }
    assert_int_equal(backoff.failures, 1);
    assert_true(backoff_is_over(&backoff, START + 500));
    assert_int_equal(backoff.failed_ms, START + 29);
}

static void test_what_is_older_than_the_failure_proves_nothing(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    backoff_fail(&backoff, START);
    backoff_prove(&backoff, START - 1);
    backoff_prove(&backoff, START);
    assert_false(backoff_is_over(&backoff, START));
    backoff_prove(&backoff, START + 1);
    assert_true(backoff_is_over(&backoff, START));
    assert_int_equal(backoff.failures, 0);
}

static void test_hurry_leaves_a_second_and_forgets_nothing(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    assert_false(backoff_hurry(&backoff));
    for (unsigned i = 0; i < 4; i++) {
        backoff_fail(&backoff, START + i * FAR);
    }
    uint64_t last = START + 3 * FAR; /* and a pause of 2 s at least */
    assert_true(backoff_hurry(&backoff));
    assert_false(backoff_is_over(&backoff, last + 999));
    assert_true(backoff_is_over(&backoff, last + 1000));
    assert_false(backoff_hurry(&backoff));
    assert_int_equal(backoff.failures, 4);
}

static void test_jitter_stays_within_its_share(void **state)
{
    uint64_t least = UINT64_MAX, most = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t ms = backoff_jitter(10000, 75);
        assert_in_range(ms, 7500, 10000);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_true(least < most);
    assert_int_equal(backoff_jitter(0, 50), 0);
    assert_int_equal(backoff_jitter(10000, 100), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_has_failed_yet),
        cmocka_unit_test(test_pauses_double_up_to_a_limit),
        cmocka_unit_test(test_those_that_fail_together_count_once),
        cmocka_unit_test(test_what_is_older_than_the_failure_proves_nothing),
        cmocka_unit_test(test_hurry_leaves_a_second_and_forgets_nothing),
        cmocka_unit_test(test_jitter_stays_within_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
