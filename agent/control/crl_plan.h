/* When a CRL that is kept in a file is asked for again: in good time before it runs out, by the
 * wall clock; after a failure soon, by the monotonic one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Starts as zeros: it is due at once. */
struct crl_plan {
    bool is_made;
    unsigned failures;  /* in a row */
    uint64_t retry_ms;  /* after failures: when to ask again */
    time_t next_update; /* of the file; 0: there is none that is good */
    time_t planned_at, refresh_at;
};

/* The file is good until `next_update`: it is asked for when half of that has passed. */
void crl_plan_success(struct crl_plan *plan, time_t next_update, time_t now);

/* It could not be got. The one that is there is good until `next_update`; 0: there is none. Until
 * then there is time; else it is asked for again within seconds, and then less and less often. */
void crl_plan_failure(struct crl_plan *plan, time_t next_update, uint64_t now_ms, time_t now);

/* The wall clock was set: what failed may have failed for its dates. */
void crl_plan_step(struct crl_plan *plan, uint64_t now_ms);

/* Milliseconds until it is to be asked for; 0: now. A wall clock that was set back makes the plan
 * anew, and one that was set forward brings its time on. */
uint64_t crl_plan_wait_ms(struct crl_plan *plan, uint64_t now_ms, time_t now);
