#include "histogram.h"

#include <stddef.h>

#define EXACT     512 /* below this, a bucket is one microsecond */
#define PER_STEP  256 /* buckets for each doubling above */
#define STEP_BITS 8

static size_t bucket_of(uint64_t us)
{
    if (us < EXACT) {
        return (size_t)us;
    }
    unsigned exponent = 63 - (unsigned)__builtin_clzll(us);
    unsigned step = exponent - STEP_BITS; /* 1: the first doubling above EXACT */
    size_t bucket = EXACT + (size_t)(step - 1) * PER_STEP + ((us >> step) & (PER_STEP - 1));
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t least_of(size_t bucket)
{
    if (bucket < EXACT) {
        return bucket;
    }
    size_t step = (bucket - EXACT) / PER_STEP;
    return (uint64_t)(PER_STEP + (bucket - EXACT) % PER_STEP) << (step + 1);
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->buckets[bucket_of(us)]++;
    h->count++;
    h->sum_us += us;
    h->max_us = us > h->max_us ? us : h->max_us;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && h->count > 0; i++) {
        seen += h->buckets[i];
        if ((double)seen >= share * (double)h->count) {
            return least_of(i);
        }
    }
    return 0;
}

void histogram_print(const struct histogram *h, FILE *out)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}};

    fprintf(out, "\"count\": %ju, \"mean_us\": %.1f, \"max_us\": %ju", (uintmax_t)h->count,
            h->count > 0 ? (double)h->sum_us / (double)h->count : 0, (uintmax_t)h->max_us);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++) {
        fprintf(out, ", \"%s\": %ju", quantiles[i].name,
                (uintmax_t)histogram_quantile(h, quantiles[i].share));
    }
}
