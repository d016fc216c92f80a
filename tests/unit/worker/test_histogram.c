/* What falls into which bucket, and that nothing is lost when threads count at the same time. */
#include "worker/histogram.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS  20000

static void the_bounds_grow_from_half_a_millisecond_to_ten_seconds(void **state)
{
    (void)state;
    assert_int_equal(histogram_bound_us(0), 500);
    assert_int_equal(histogram_bound_us(HISTOGRAM_BOUNDS - 1), 10000000);
    for (unsigned i = 1; i < HISTOGRAM_BOUNDS; i++) {
        assert_true(histogram_bound_us(i) > histogram_bound_us(i - 1));
    }
}

/* A bound belongs to its own bucket, as Prometheus' "le" says. */
static void a_bound_is_in_its_bucket_and_what_is_more_in_the_next(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
        struct histogram histogram = {0};
        histogram_add(&histogram, histogram_bound_us(i));
        assert_int_equal(histogram.counts[i], 1);
        histogram_add(&histogram, histogram_bound_us(i) + 1);
        assert_int_equal(histogram.counts[i], 1);
        assert_int_equal(histogram.counts[i + 1], 1);
    }
}

static void nothing_is_too_short_or_too_long(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    histogram_add(&histogram, 0);
    histogram_add(&histogram, UINT64_C(3600) * 1000000);
    assert_int_equal(histogram.counts[0], 1);
    assert_int_equal(histogram.counts[HISTOGRAM_BOUNDS], 1);
    assert_int_equal(histogram.sum_us, UINT64_C(3600) * 1000000);
}

static void *count(void *ctx)
{
    struct histogram *histogram = ctx;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        histogram_add(histogram, i);
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, &histogram), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    uint64_t total = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        total += histogram.counts[i];
    }
    assert_int_equal(total, THREADS * ROUNDS);
    assert_int_equal(histogram.counts[0], THREADS * 501);
    assert_int_equal(histogram.sum_us, (uint64_t)THREADS * ROUNDS * (ROUNDS - 1) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bounds_grow_from_half_a_millisecond_to_ten_seconds),
        cmocka_unit_test(a_bound_is_in_its_bucket_and_what_is_more_in_the_next),
        cmocka_unit_test(nothing_is_too_short_or_too_long),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
