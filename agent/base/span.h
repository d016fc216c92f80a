/* Spans of time and points in it, for people. */
#pragma once

#include <stdbool.h>
#include <time.h>

#define SPAN_TEXT_MAX 40 /* bytes, the final NUL included */

/* Writes a span of seconds by its greatest unit, rounded down: "3 days", "1 hour", "0 seconds".
 * Returns `text`. */
const char *span_format(time_t seconds, char text[static SPAN_TEXT_MAX]);

/* Writes the day of a point in time, "2026-11-21" (UTC). Returns `text`. */
const char *span_format_day(time_t when, char text[static SPAN_TEXT_MAX]);

/* True for a span that no clock drifts in, though one that starts at 1970 or lost its battery is
 * off by more: what begins so far ahead is a sign of a wrong clock. */
bool span_suggests_clock(time_t seconds);

/* Writes a point in time, "2026-11-21T08:50:00Z" (RFC 3339). Returns `text`. */
const char *span_format_date(time_t when, char text[static SPAN_TEXT_MAX]);
