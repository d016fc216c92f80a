/* How often a time was seen, in buckets that are exact to 1 µs up to 512 µs and to 1/256 above. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_BUCKETS 8192

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count, sum_us, max_us;
};

void histogram_add(struct histogram *h, uint64_t us);

/* The least time that `share` (0 to 1) of all did not exceed, in µs; 0 without any. */
uint64_t histogram_quantile(const struct histogram *h, double share);

/* Count, mean, quantiles and maximum as members of a JSON object, without the braces. */
void histogram_print(const struct histogram *h, FILE *out);
