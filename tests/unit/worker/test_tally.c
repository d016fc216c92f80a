/* What is counted, what is told at once and what is folded; with given times, and under a storm. */
#include "worker/tally.h"
#include "worker/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define INTERVAL 10000
#define BEGIN    500000
#define THREADS  4
#define STORM    100000

static void count_wake(void *ctx)
{
    ++*(int *)ctx;
}

/* A tally, who watches it, and the last sums that it told. */
struct fixture {
    struct tally *tally;
    int wakes;
    struct worker_watcher watcher;
    struct tally_sum sums[4];
    char details[4][FAILURE_DETAIL_MAX];
    size_t n_sums;
};

static int enter(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.tally = tally_new()};
    fixture.watcher = (struct worker_watcher){.changed = count_wake, .ctx = &fixture.wakes};
    *state = &fixture;
    return fixture.tally != NULL ? 0 : -1;
}

static int leave(void **state)
{
    struct fixture *fixture = *state;
    tally_free(fixture->tally);
    return 0;
}

static void note_sum(void *ctx, const struct tally_sum *sum)
{
    struct fixture *fixture = ctx;
    assert_true(fixture->n_sums < 4);
    snprintf(fixture->details[fixture->n_sums], FAILURE_DETAIL_MAX, "%s",
             sum->detail != NULL ? sum->detail : "");
    fixture->sums[fixture->n_sums++] = *sum;
}

static uint64_t tell(struct fixture *fixture, uint64_t now_ms, uint64_t interval_ms)
{
    fixture->n_sums = 0;
    return tally_tell(fixture->tally, now_ms, interval_ms, note_sum, fixture);
}

static bool fold(struct fixture *fixture, enum reason reason, const char *detail, uint64_t now_ms)
{
    struct failure failure;
    failure_set(&failure, reason, "%s", detail);
    return tally_fold(fixture->tally, &failure, now_ms, &fixture->watcher);
}

static void ends_are_counted_by_reason(void **state)
{
    struct fixture *fixture = *state;
    tally_add(fixture->tally, REASON_ok, false);
    tally_add(fixture->tally, REASON_ok, false);
    tally_add(fixture->tally, REASON_internal, true);
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        uint64_t expected = reason == REASON_ok ? 2 : reason == REASON_internal ? 1 : 0;
        assert_int_equal(tally_count(fixture->tally, (enum reason)reason), expected);
    }
    assert_int_equal(fixture->wakes, 0);
}

static void the_first_is_told_and_the_next_are_folded(void **state)
{
    struct fixture *fixture = *state;
    assert_false(fold(fixture, REASON_cert_expired, "first", BEGIN));
    assert_int_equal(fixture->wakes, 1);
    assert_true(fold(fixture, REASON_cert_expired, "second", BEGIN));
    assert_true(fold(fixture, REASON_cert_expired, "third", BEGIN + INTERVAL - 1));
    assert_int_equal(fixture->wakes, 1);
    assert_false(fold(fixture, REASON_not_tls, "another reason", BEGIN));
    assert_int_equal(fixture->wakes, 2);
}

static void an_interval_is_told_when_it_is_over_and_never_earlier(void **state)
{
    struct fixture *fixture = *state;
    fold(fixture, REASON_cert_expired, "first", BEGIN);
    fold(fixture, REASON_cert_expired, "second", BEGIN + 1);
    fold(fixture, REASON_cert_expired, "third", BEGIN + 2);
    assert_int_equal(tell(fixture, BEGIN - 3, INTERVAL), BEGIN + INTERVAL); /* a clock behind */
    assert_int_equal(tell(fixture, BEGIN + INTERVAL - 1, INTERVAL), BEGIN + INTERVAL);
    assert_int_equal(fixture->n_sums, 0);

    uint64_t late = BEGIN + INTERVAL + 7;
    assert_int_equal(tell(fixture, late, INTERVAL), late + INTERVAL);
    assert_int_equal(fixture->n_sums, 1);
    assert_int_equal(fixture->sums[0].reason, REASON_cert_expired);
    assert_false(fixture->sums[0].by_peer);
    assert_int_equal(fixture->sums[0].count, 2);
    assert_int_equal(fixture->sums[0].interval_ms, INTERVAL + 7);
    assert_string_equal(fixture->details[0], "second");
}

static void intervals_follow_each_other_while_there_are_failures(void **state)
{
    struct fixture *fixture = *state;
    uint64_t now = BEGIN;
    assert_false(fold(fixture, REASON_not_tls, "", now));
    for (uint64_t i = 1; i < 5; i++) {
        for (uint64_t k = 0; k < i; k++) {
            assert_true(fold(fixture, REASON_not_tls, i == 3 ? "the third" : "else", now + k));
        }
        now += INTERVAL;
        assert_int_equal(tell(fixture, now, INTERVAL), now + INTERVAL);
        assert_int_equal(fixture->sums[0].count, i);
        assert_string_equal(fixture->details[0], i == 3 ? "the third" : "else");
    }
    assert_int_equal(fixture->wakes, 1);
}

static void an_interval_without_any_ends_the_folding(void **state)
{
    struct fixture *fixture = *state;
    fold(fixture, REASON_not_tls, "", BEGIN);
    assert_int_equal(tell(fixture, BEGIN + INTERVAL, INTERVAL), TALLY_NEVER);
    assert_int_equal(fixture->n_sums, 0);
    assert_false(fold(fixture, REASON_not_tls, "", BEGIN + INTERVAL + 1));
    assert_int_equal(fixture->wakes, 2);
    assert_int_equal(tell(fixture, BEGIN + INTERVAL + 2, INTERVAL), BEGIN + 2 * INTERVAL + 1);
}

static void each_reason_has_its_own_interval(void **state)
{
    struct fixture *fixture = *state;
    fold(fixture, REASON_not_tls, "", BEGIN);
    fold(fixture, REASON_not_tls, "", BEGIN);
    fold(fixture, REASON_cert_weak, "", BEGIN + 4000);
    fold(fixture, REASON_cert_weak, "", BEGIN + 4000);
    assert_int_equal(tell(fixture, BEGIN + INTERVAL, INTERVAL), BEGIN + INTERVAL + 4000);
    assert_int_equal(fixture->n_sums, 1);
    assert_int_equal(fixture->sums[0].reason, REASON_not_tls);
}

static void both_senders_of_an_alert_are_folded_apart(void **state)
{
    struct fixture *fixture = *state;
    struct failure failure;
    failure_set_by_peer(&failure, REASON_tls_version, "theirs");
    assert_false(fold(fixture, REASON_tls_version, "ours", BEGIN));
    assert_false(tally_fold(fixture->tally, &failure, BEGIN, &fixture->watcher));
    assert_true(tally_fold(fixture->tally, &failure, BEGIN, &fixture->watcher));
    tell(fixture, BEGIN + INTERVAL, INTERVAL);
    assert_int_equal(fixture->n_sums, 1);
    assert_true(fixture->sums[0].by_peer);
    assert_string_equal(fixture->details[0], "theirs");
}

static void at_the_end_all_is_told(void **state)
{
    struct fixture *fixture = *state;
    fold(fixture, REASON_not_tls, "", BEGIN);
    fold(fixture, REASON_not_tls, "", BEGIN + 100);
    fold(fixture, REASON_cert_weak, "", BEGIN);
    fold(fixture, REASON_cert_weak, "", BEGIN);
    fold(fixture, REASON_internal, "told already", BEGIN);
    tell(fixture, BEGIN + 1234, 0);
    assert_int_equal(fixture->n_sums, 2);
    assert_int_equal(fixture->sums[0].count + fixture->sums[1].count, 2);
    assert_int_equal(fixture->sums[0].interval_ms, 1234);
}

static void nothing_is_told_where_nothing_is_folded(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(tell(fixture, BEGIN, 0), TALLY_NEVER);
    assert_int_equal(fixture->n_sums, 0);
}

static void what_was_never_told_is_freed(void **state)
{
    struct fixture *fixture = *state;
    fold(fixture, REASON_not_tls, "", BEGIN);
    fold(fixture, REASON_not_tls, "kept until the end", BEGIN);
    assert_null(tally_free(NULL));
}

/* ---- a storm ---- */

static void wake_nobody(void *ctx)
{
    (void)ctx;
}

struct storm {
    struct tally *tally;
    _Atomic(uint64_t) now_ms, first;
    _Atomic(int) n_running;
    uint64_t told;
};

static void *fail_often(void *ctx)
{
    struct storm *storm = ctx;
    const struct worker_watcher nobody = {.changed = wake_nobody};
    struct failure failure;
    failure_set(&failure, REASON_connect_refused, "evidence");
    for (int i = 0; i < STORM; i++) {
        tally_add(storm->tally, failure.reason, failure.by_peer);
        if (!tally_fold(storm->tally, &failure, atomic_load(&storm->now_ms), &nobody)) {
            atomic_fetch_add(&storm->first, 1);
        }
    }
    atomic_fetch_sub(&storm->n_running, 1);
    return NULL;
}

static void add_up(void *ctx, const struct tally_sum *sum)
{
    struct storm *storm = ctx;
    assert_int_equal(sum->reason, REASON_connect_refused);
    assert_true(sum->count > 0);
    assert_true(sum->detail == NULL || strcmp(sum->detail, "evidence") == 0);
    storm->told += sum->count;
}

/* The clock runs so fast that intervals end, and foldings too, all the time. */
static void no_failure_is_lost_or_told_twice(void **state)
{
    struct fixture *fixture = *state;
    struct storm storm = {.tally = fixture->tally, .now_ms = BEGIN, .n_running = THREADS};
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_create(&threads[t], NULL, fail_often, &storm), 0);
    }
    while (atomic_load(&storm.n_running) > 0) {
        uint64_t now = atomic_fetch_add(&storm.now_ms, 1);
        tally_tell(storm.tally, now, 1, add_up, &storm);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    tally_tell(storm.tally, atomic_load(&storm.now_ms), 0, add_up, &storm);
    assert_true(storm.first > 0);
    assert_int_equal(storm.first + storm.told, THREADS * STORM);
    assert_int_equal(tally_count(storm.tally, REASON_connect_refused), THREADS * STORM);
}

#define TALLY_TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALLY_TEST(ends_are_counted_by_reason),
        TALLY_TEST(the_first_is_told_and_the_next_are_folded),
        TALLY_TEST(an_interval_is_told_when_it_is_over_and_never_earlier),
        TALLY_TEST(intervals_follow_each_other_while_there_are_failures),
        TALLY_TEST(an_interval_without_any_ends_the_folding),
        TALLY_TEST(each_reason_has_its_own_interval),
        TALLY_TEST(both_senders_of_an_alert_are_folded_apart),
        TALLY_TEST(at_the_end_all_is_told),
        TALLY_TEST(nothing_is_told_where_nothing_is_folded),
        TALLY_TEST(what_was_never_told_is_freed),
        TALLY_TEST(no_failure_is_lost_or_told_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
