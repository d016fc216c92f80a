#include "cli/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AGE_MAX 1e15 /* seconds: what still is a whole number */

const char *words_age(double seconds, char text[static WORDS_MAX])
{
    static const struct {
        double seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    seconds = seconds < 0 ? 0 : seconds > AGE_MAX ? AGE_MAX : seconds;
    while (seconds < units[i].seconds && units[i].seconds > 1) {
        i++;
    }
    snprintf(text, WORDS_MAX, "%.0f%c", (double)(int64_t)(seconds / units[i].seconds),
             units[i].letter);
    return text;
}

/* Rounded down to one digit behind the point, or none from 100 on. */
static const char *scale(int64_t n, const char *const *units, char text[static WORDS_MAX])
{
    int64_t unit = 1000;
    while (n / unit >= 1000 && units[1] != NULL) {
        unit *= 1000;
        units++;
    }
    if (n / unit >= 100) {
        snprintf(text, WORDS_MAX, "%" PRId64 "%s", n / unit, *units);
    } else {
        snprintf(text, WORDS_MAX, "%" PRId64 ".%" PRId64 "%s", n / unit, n / (unit / 10) % 10,
                 *units);
    }
    return text;
}

const char *words_count(int64_t n, char text[static WORDS_MAX])
{
    static const char *const units[] = {"k", "M", "G", "T", "P", NULL};
    if (n >= 100000) {
        return scale(n, units, text);
    }
    snprintf(text, WORDS_MAX, "%" PRId64, n);
    return text;
}

const char *words_bytes(int64_t n, char text[static WORDS_MAX])
{
    static const char *const units[] = {" kB", " MB", " GB", " TB", " PB", NULL};
    if (n >= 1000) {
        return scale(n, units, text);
    }
    snprintf(text, WORDS_MAX, "%" PRId64 " byte%s", n, n == 1 ? "" : "s");
    return text;
}

const char *words_days(int64_t days, const char *not_after, char text[static WORDS_MAX])
{
    const char *date = not_after != NULL ? not_after : "?";
    int len = (int)strcspn(date, "T");
    len = len < 20 ? len : 20;
    if (days < 0) { /* whole days, rounded down */
        snprintf(text, WORDS_MAX, "expired on %.*s", len, date);
    } else {
        snprintf(text, WORDS_MAX, "%" PRId64 " day%s left, until %.*s", days, days == 1 ? "" : "s",
                 len, date);
    }
    return text;
}

time_t words_time(const char *text)
{
    struct tm utc = {0};
    const char *end = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc) : NULL;
    return end != NULL && *end == '\0' ? timegm(&utc) : -1;
}

const char *words_ago(const char *when, time_t now, char text[static WORDS_MAX])
{
    char age[WORDS_MAX];
    time_t then = words_time(when);
    if (then < 0) {
        snprintf(text, WORDS_MAX, "at an unknown time");
    } else {
        snprintf(text, WORDS_MAX, "%.*s ago", 20, words_age((double)(now - then), age));
    }
    return text;
}
