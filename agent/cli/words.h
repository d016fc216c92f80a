/* Figures as a person reads them. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define WORDS_MAX 64 /* bytes, the final NUL included */

/* The text, or "?" where there is none. */
static inline const char *words_known(const char *text)
{
    return text != NULL ? text : "?";
}

/* Each writes to `text` and returns it. */

/* A span of seconds by its greatest unit, rounded down: "12s", "5m", "3h", "2d". */
const char *words_age(double seconds, char text[static WORDS_MAX]);

/* As it is up to 99999, then rounded down: "123k", "4.5M". */
const char *words_count(int64_t n, char text[static WORDS_MAX]);

/* "512 bytes", "12.3 MB": powers of 1000. */
const char *words_bytes(int64_t n, char text[static WORDS_MAX]);

/* "5 days left, until 2026-11-26", "expired on 2026-11-18". `not_after` is a time of
 * RFC 3339, or NULL. */
const char *words_days(int64_t days, const char *not_after, char text[static WORDS_MAX]);

/* Seconds since 1970 of a time of RFC 3339 in UTC, "2026-11-21T12:00:00Z"; -1 for anything else,
 * NULL included. */
time_t words_time(const char *text);

/* How long that is ago, "5m ago"; "at an unknown time". */
const char *words_ago(const char *when, time_t now, char text[static WORDS_MAX]);
