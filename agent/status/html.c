#include "status/html.h"

#include "base/span.h"

#include <stdio.h>

/* From here on it is time to renew, or to be worried. */
#define WARN_DAYS 14
#define BAD_DAYS  3

const char *html_tone(enum html_tone tone)
{
    static const char *const classes[] = {
        [HTML_GOOD] = "good",
        [HTML_WARN] = "warn",
        [HTML_BAD] = "bad",
        [HTML_IDLE] = "idle",
    };
    return classes[tone];
}

enum html_tone html_tone_of_days(long days)
{
    return days < BAD_DAYS ? HTML_BAD : days < WARN_DAYS ? HTML_WARN : HTML_GOOD;
}

enum html_tone html_tone_of_crl(long days)
{
    return days < 0 ? HTML_BAD : days < 1 ? HTML_WARN : HTML_GOOD;
}

static const char *escape(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return c < 0x20 || c == 0x7f ? " " : NULL;
    }
}

void html_untrusted(struct writer *out, const char *text)
{
    writer_untrusted(out, text, escape);
}

void html_small(struct writer *out, const char *untrusted)
{
    if (untrusted != NULL && untrusted[0] != '\0') {
        writer_add(out, "<small>");
        html_untrusted(out, untrusted);
        writer_add(out, "</small>");
    }
}

void html_cell_begin(struct writer *out, const char *label, const char *class)
{
    writer_format(out, "<td data-label=\"%s\"", label);
    if (class != NULL) {
        writer_format(out, " class=\"%s\"", class);
    }
    writer_add(out, "><div>");
}

void html_cell_end(struct writer *out)
{
    writer_add(out, "</div></td>");
}

void html_cell(struct writer *out, const char *label, const char *untrusted)
{
    html_cell_begin(out, label, NULL);
    html_untrusted(out, untrusted);
    html_cell_end(out);
}

void html_table_begin(struct writer *out, const char *title, const char *note,
                      const char *const *columns, size_t n)
{
    writer_format(out, "\n<section><h2>%s", title);
    html_small(out, note);
    writer_add(out, "</h2>\n<div class=\"sheet\"><table><thead><tr>");
    for (size_t i = 0; i < n; i++) {
        writer_format(out, "<th scope=\"col\">%s</th>", columns[i]);
    }
    writer_add(out, "</tr></thead><tbody>\n");
}

void html_table_end(struct writer *out)
{
    writer_add(out, "</tbody></table></div></section>\n");
}

void html_age(struct writer *out, const struct view *view, time_t when)
{
    char text[SPAN_TEXT_MAX];
    time_t age = view->now - when;
    writer_format(out, age < 1 ? "just now" : "%s ago", span_format(age < 0 ? 0 : age, text));
}

const char *html_format_days(long days, const char *unit, char text[static HTML_DAYS_MAX])
{
    snprintf(text, HTML_DAYS_MAX, days < 0 ? "expired" : "%ld%s", days, unit);
    return text;
}

void html_days(struct writer *out, const struct view *view, time_t when, enum html_tone tone)
{
    char date[SPAN_TEXT_MAX], days[HTML_DAYS_MAX];
    writer_format(out, "<span class=\"%s\">%s</span>", html_tone(tone),
                  html_format_days(view_days_left(view, when), " days", days));
    html_small(out, span_format_day(when, date));
}
