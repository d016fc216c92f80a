/* One line on a terminal while there is nothing to print yet: "probing: 3 of 12 services done;
 * waiting for order-service, billing …". Nothing at all where the output is no terminal. */
#pragma once

#include "probe/report.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_INTERVAL_MS 100 /* it is drawn no more often */

struct progress {
    const struct report *report;
    FILE *out;       /* NULL: nothing is drawn */
    bool is_drawn;   /* the line is on the terminal */
    uint64_t due_ms; /* when it may be drawn again, on the monotonic clock */
};

/* Draws nothing yet: a probe may be quick. The report's services need their names only; it and
 * `out`, which is stderr, must outlive the progress. */
void progress_begin(struct progress *progress, const struct report *report, FILE *out);

/* Draws the line anew, unless it was drawn less than PROGRESS_INTERVAL_MS ago: so this is for a
 * timer to call, not for what is done. `is_done` has one entry for each service of the report. */
void progress_step(struct progress *progress, const bool *is_done);

/* Removes the line, before something is printed or for good. The next step draws it again. */
void progress_end(struct progress *progress);
