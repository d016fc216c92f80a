/* Spans of time and points in it, for people. */
#pragma once

#include <time.h>

#define SPAN_TEXT_MAX 40 /* bytes, the final NUL included */

/* Writes a span of seconds by its greatest unit, rounded down: "3 days", "1 hour", "0 seconds".
 * Returns `text`. */
const char *span_format(time_t seconds, char text[static SPAN_TEXT_MAX]);

/* Writes a point in time, "2026-11-21T08:50:00Z" (RFC 3339). Returns `text`. */
const char *span_format_date(time_t when, char text[static SPAN_TEXT_MAX]);
