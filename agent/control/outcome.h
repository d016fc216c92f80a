/* What came of a reload, to be told to whoever asked for it and to whoever looks later. */
#pragma once

#include "base/problems.h"
#include "control/changeover.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct outcome {
    bool is_refused;
    time_t when;                     /* 0: there was no reload yet */
    uint64_t generation;             /* that is in use since then */
    struct changeover_counts counts; /* zero where it was refused */
    char **faults; /* owned: "FILE:LINE: what is wrong; what to do"; none: it was not refused */
    size_t n_faults;
    char **warnings; /* owned */
    size_t n_warnings;
};

/* Takes the texts of the problems over, as far as memory allows. */
void outcome_note(struct outcome *outcome, const struct problems *problems);

/* Tells it in the log: every fault and warning, and the sum. */
void outcome_log(const struct outcome *outcome);

void outcome_release(struct outcome *outcome);
