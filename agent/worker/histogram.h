/* How long something took, counted in fixed buckets as Prometheus wants them. Threads count at the
 * same time without waiting for each other. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* Upper bounds: 0.5 ms to 10 s; what takes longer is in one bucket more. */
#define HISTOGRAM_BOUNDS 14

struct histogram {
    _Atomic(uint64_t) counts[HISTOGRAM_BOUNDS + 1]; /* of each bucket, not cumulative */
    _Atomic(uint64_t) sum_us;
};

/* The upper bound of bucket `i` in microseconds. */
uint64_t histogram_bound_us(unsigned i);

void histogram_add(struct histogram *histogram, uint64_t us);
