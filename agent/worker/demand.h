/* How many sessions callers who come by chance will want ready: as many as arrive while one is
 * being made (Little's law), and some more, for they do not come evenly. Times are in milliseconds,
 * on a clock that does not go back. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Zero is a good beginning. */
struct demand {
    uint64_t window_began_ms;
    uint64_t callers, callers_before; /* in the window, and in the one before */
    uint64_t making_ms;               /* on average */
};

/* A caller has come. */
void demand_note_caller(struct demand *demand, uint64_t now_ms);

/* A session was made ready within `took_ms`. */
void demand_note_made(struct demand *demand, uint64_t took_ms);

/* How many should be ready, if none may wait longer than `max_age_ms`: none, when it is not likely
 * that somebody comes within that time. */
size_t demand_target(struct demand *demand, uint64_t now_ms, uint64_t max_age_ms);
