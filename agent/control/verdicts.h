/* What follows from how new files were read and tried out, and what the log says of it. */
#pragma once

#include "base/problems.h"
#include "control/canary.h"
#include "control/resolver.h"
#include "control/snapshot.h"

#include <stddef.h>

/* The trials that a change needs, one for each service that goes on with the same backends, but
 * with another identity or other CAs; those first that have something to lose. To be freed; NULL:
 * memory is out. */
struct canary_trial *verdicts_needed(const struct snapshot *before, const struct snapshot *next,
                                     const struct resolver *resolver, size_t *ret_n);

/* For all or nothing: notes an error for each service whose backend would be lost; but one that was
 * held before goes on as it is, and is in nobody's way. */
void verdicts_refuse(const struct snapshot *before, struct snapshot *next,
                     const struct canary_trial *trials, size_t n, struct problems *problems);

/* For each service on its own: one whose backend would be lost goes on as it is. Notes an error
 * only when memory is out. */
void verdicts_hold(const struct snapshot *before, struct snapshot *next,
                   const struct canary_trial *trials, size_t n, struct problems *problems);

/* Tells the log of services whose backends could not be asked, and which use what is new all the
 * same. */
void verdicts_log_unasked(const struct snapshot *next, const struct canary_trial *trials, size_t n);

/* Tells the log which files are bad, good again, or now in use. */
void verdicts_log(const struct snapshot *before, const struct snapshot *next);
