/* When to try again what has failed: after half a second, twice as long each time up to half a
 * minute, and by chance up to half as soon, so that many who failed together do not come back
 * together. Times are in milliseconds, on a clock that does not go back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Zero is a good beginning. */
struct backoff {
    uint64_t failed_ms; /* the last failure */
    uint64_t retry_ms;  /* not before */
    unsigned failures;  /* in a row; those that come before `retry_ms` count as one */
};

/* It has failed. */
void backoff_fail(struct backoff *backoff, uint64_t now_ms);

/* What was begun at that time has turned out well: all is forgotten, if that was behind the last
 * failure. */
void backoff_prove(struct backoff *backoff, uint64_t begun_ms);

/* There is a sign that it would turn out well: it may be tried once more a second after the last
 * failure, though nothing is forgotten. True when that is sooner than without. */
bool backoff_hurry(struct backoff *backoff);

/* True when it may be tried. */
bool backoff_is_over(const struct backoff *backoff, uint64_t now_ms);

/* From `percent` of it up to all of it, by chance. */
uint64_t backoff_jitter(uint64_t ms, unsigned percent);
