/* How many sessions are kept ready for callers who come by chance. */
#include "worker/demand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LONG_MS 30000 /* a session's age that is no limit here */

/* Some time, which is not 0: a loop's clock may have any. */
#define START_MS UINT64_C(1234567)

/* Callers come evenly for a while; returns when it is over. */
static uint64_t call(struct demand *demand, uint64_t from_ms, unsigned n, uint64_t apart_ms)
{
    for (unsigned i = 0; i < n; i++) {
        demand_note_caller(demand, from_ms);
        from_ms += apart_ms;
    }
    return from_ms;
}

static size_t target(struct demand *demand, uint64_t now_ms)
{
    return demand_target(demand, now_ms, LONG_MS);
}

static void test_none_where_nobody_has_called(void **state)
{
    (void)state;
    struct demand demand = {0};
    assert_int_equal(target(&demand, START_MS), 0);
    demand_note_made(&demand, 500);
    assert_int_equal(target(&demand, START_MS), 0);
    assert_int_equal(target(&demand, START_MS + 3600000), 0);
}

static void test_one_for_one_who_may_come_again(void **state)
{
    (void)state;
    struct demand demand = {0};
    demand_note_made(&demand, 1);
    demand_note_caller(&demand, START_MS);
    assert_int_equal(target(&demand, START_MS), 1);
}

static void test_none_that_would_be_too_old_for_the_next(void **state)
{
    (void)state;
    struct demand demand = {0};
    uint64_t now_ms = call(&demand, START_MS, 5, 1000);
    assert_int_equal(demand_target(&demand, now_ms, 1000), 0);
    assert_true(demand_target(&demand, now_ms, 5000) > 0);
}

/* Little's law: those who come while one is being made, and a reserve of twice its root. */
static void test_as_many_as_come_while_one_is_made(void **state)
{
    (void)state;
    const struct {
        unsigned callers; /* in ten seconds */
        uint64_t making_ms;
        size_t least, most;
    } rows[] = {
        {100, 10, 1, 2},      /* 0.1 */
        {100, 100, 3, 4},     /* 1 */
        {400, 100, 8, 9},     /* 4 */
        {1000, 250, 35, 37},  /* 25 */
        {100, 10000, 64, 64}, /* 100, and that is too many */
        {60000, 60000, 64, 64},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct demand demand = {0};
        for (unsigned n = 0; n < 100; n++) {
            demand_note_made(&demand, rows[i].making_ms);
        }
        call(&demand, START_MS, rows[i].callers, 0);
        assert_in_range(target(&demand, START_MS), rows[i].least, rows[i].most);
    }
}

static void test_more_callers_never_want_fewer(void **state)
{
    (void)state;
    struct demand demand = {0};
    size_t before = 0;
    demand_note_made(&demand, 40);
    for (unsigned n = 0; n < 20000; n++) {
        demand_note_caller(&demand, START_MS);
        size_t now = target(&demand, START_MS);
        assert_true(now >= before);
        before = now;
    }
    assert_int_equal(before, 64);
}

static void test_the_rate_is_kept_from_one_window_to_the_next(void **state)
{
    (void)state;
    struct demand demand = {0};
    demand_note_made(&demand, 100);
    uint64_t now_ms = call(&demand, START_MS, 400, 100); /* for 40 seconds: 1 at a time */
    for (unsigned i = 0; i < 300; i++) {
        assert_in_range(target(&demand, now_ms), 2, 5);
        now_ms = call(&demand, now_ms, 1, 100);
    }
}

static void test_it_falls_to_nothing_when_nobody_calls(void **state)
{
    (void)state;
    struct demand demand = {0};
    demand_note_made(&demand, 100);
    uint64_t now_ms = call(&demand, START_MS, 1000, 10);
    size_t before = target(&demand, now_ms);
    assert_true(before > 3);
    for (unsigned i = 0; i < 210; i++) {
        now_ms += 100;
        size_t now = target(&demand, now_ms);
        assert_true(now <= before);
        before = now;
    }
    assert_int_equal(before, 0);
}

/* The owner may be asleep for long. */
static void test_after_a_long_time_all_is_forgotten(void **state)
{
    (void)state;
    struct demand demand = {0};
    uint64_t now_ms = call(&demand, START_MS, 1000, 1);
    assert_true(target(&demand, now_ms) > 0);
    assert_int_equal(target(&demand, now_ms + UINT64_C(86400000)), 0);
    demand_note_caller(&demand, now_ms + UINT64_C(86400000));
    assert_in_range(target(&demand, now_ms + UINT64_C(86400000)), 1, 2);
}

/* One slow handshake among many does not make it keep many. */
static void test_the_time_to_make_one_is_an_average(void **state)
{
    (void)state;
    struct demand demand = {0};
    for (unsigned i = 0; i < 50; i++) {
        demand_note_made(&demand, 10);
    }
    assert_in_range(demand.making_ms, 9, 12);
    demand_note_made(&demand, 1000);
    assert_in_range(demand.making_ms, 100, 150);
    for (unsigned i = 0; i < 50; i++) {
        demand_note_made(&demand, 10);
    }
    assert_in_range(demand.making_ms, 9, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_where_nobody_has_called),
        cmocka_unit_test(test_one_for_one_who_may_come_again),
        cmocka_unit_test(test_none_that_would_be_too_old_for_the_next),
        cmocka_unit_test(test_as_many_as_come_while_one_is_made),
        cmocka_unit_test(test_more_callers_never_want_fewer),
        cmocka_unit_test(test_the_rate_is_kept_from_one_window_to_the_next),
        cmocka_unit_test(test_it_falls_to_nothing_when_nobody_calls),
        cmocka_unit_test(test_after_a_long_time_all_is_forgotten),
        cmocka_unit_test(test_the_time_to_make_one_is_an_average),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
