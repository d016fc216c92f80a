/* Pieces of HTML. What is called untrusted may hold anything; all else is a constant of ours. */
#pragma once

#include "status/view.h"
#include "status/writer.h"

/* How good something is: the class of an element. */
enum html_tone { HTML_GOOD, HTML_WARN, HTML_BAD, HTML_IDLE };

const char *html_tone(enum html_tone tone);

/* Days that are left for a certificate, which takes time to renew, and for a CRL, which is renewed
 * all the time. */
enum html_tone html_tone_of_days(long days);
enum html_tone html_tone_of_crl(long days);

void html_untrusted(struct writer *out, const char *text);

/* Small print on a line of its own; nothing for NULL or "". */
void html_small(struct writer *out, const char *untrusted);

/* A cell of a table, with its column's name for where there are no columns. */
void html_cell_begin(struct writer *out, const char *label, const char *class);
void html_cell_end(struct writer *out);
void html_cell(struct writer *out, const char *label, const char *untrusted);

/* The head of a section with a table of these columns, and its end. `note` may be NULL. */
void html_table_begin(struct writer *out, const char *title, const char *note,
                      const char *const *columns, size_t n);
void html_table_end(struct writer *out);

/* "3 days ago", or "just now". */
void html_age(struct writer *out, const struct view *view, time_t when);

/* Writes "81" and `unit`, or "expired". Returns `text`. */
#define HTML_DAYS_MAX 40
const char *html_format_days(long days, const char *unit, char text[static HTML_DAYS_MAX]);

/* A date, and how many days it is until then. */
void html_days(struct writer *out, const struct view *view, time_t when, enum html_tone tone);
