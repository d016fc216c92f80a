/* The live diagnosis: every service that is asked for, in parallel, on an event loop of its own. */
#pragma once

#include "control/snapshot.h"
#include "probe/inquiry.h"
#include "probe/report.h"

#include <stdbool.h>
#include <stddef.h>

/* Called in the course of a probe. */
struct probe_events {
    /* A service has its verdict; in the order in which that happens. */
    void (*heard)(void *ctx, const struct report *report, size_t index);
    /* Ten times in a second. */
    void (*waiting)(void *ctx, const struct report *report);
};

/* Probes the services of the snapshot that `chosen` marks, one place for each, and returns when all
 * have their verdicts. Needs no running agent. The caller frees the report, which points into the
 * snapshot. Returns NULL when memory is out. */
struct report *probe_run(const struct snapshot *snapshot, const bool *chosen,
                         const struct inquiry_options *options, const struct probe_events *events,
                         void *ctx);
