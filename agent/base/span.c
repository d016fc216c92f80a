#include "base/span.h"

#include <stdio.h>
#include <string.h>

#define CLOCK_SUSPECT_S ((time_t)365 * 24 * 60 * 60)

const char *span_format(time_t seconds, char text[static SPAN_TEXT_MAX])
{
    static const struct {
        time_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t i = 0;
    while (seconds < units[i].seconds && units[i].seconds > 1) {
        i++;
    }
    long long n = (long long)(seconds / units[i].seconds);
    snprintf(text, SPAN_TEXT_MAX, "%lld %s%s", n, units[i].name, n == 1 ? "" : "s");
    return text;
}

const char *span_format_day(time_t when, char text[static SPAN_TEXT_MAX])
{
    span_format_date(when, text);
    text[strcspn(text, "T")] = '\0';
    return text;
}

const char *span_format_date(time_t when, char text[static SPAN_TEXT_MAX])
{
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL ||
        strftime(text, SPAN_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, SPAN_TEXT_MAX, "a date out of range");
    }
    return text;
}

bool span_suggests_clock(time_t seconds)
{
    return seconds > CLOCK_SUSPECT_S;
}
