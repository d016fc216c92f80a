/* Metrics as Prometheus reads them: its text format, version 0.0.4. */
#pragma once

#include "status/writer.h"
#include "worker/histogram.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Types of families. */
#define EXPOSITION_COUNTER   "counter"
#define EXPOSITION_GAUGE     "gauge"
#define EXPOSITION_HISTOGRAM "histogram"

struct exposition {
    struct writer *out;
    const char *family; /* the name of the one that is being written */
    bool has_label;
};

/* Begins a family; its samples have to follow. All texts are constants. */
void exposition_family(struct exposition *exposition, const char *name, const char *type,
                       const char *help);

/* One sample: begin, its labels, and one of the values. */
void exposition_begin(struct exposition *exposition, const char *suffix);
void exposition_label(struct exposition *exposition, const char *key, const char *value);
void exposition_value(struct exposition *exposition, uint64_t value);
void exposition_time(struct exposition *exposition, int64_t seconds); /* may be before 1970 */
void exposition_seconds(struct exposition *exposition, uint64_t us);  /* 1500000 us as 1.5 */

/* All samples of a histogram with one label. What is counted meanwhile is in all of them or in
 * none, but for the sum. */
void exposition_histogram(struct exposition *exposition, const char *key, const char *value,
                          const struct histogram *histogram);
