/* Lines for a terminal: a label, aligned, and text behind it. All text goes through page_say(),
 * which makes it fit for a terminal: what certificates, DNS and HTTP say may be anyone's. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum page_colour { PAGE_PLAIN = 0, PAGE_RED = 31, PAGE_GREEN = 32, PAGE_YELLOW = 33 };

struct page {
    FILE *out;
    bool in_colour;
    time_t now; /* what days left are counted from */
};

/* Begins a line with its label; an empty one where the line continues the label above. */
void page_begin(const struct page *page, const char *label);

void page_say(const struct page *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void page_end(const struct page *page);

/* A line in one go. */
void page_line(const struct page *page, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What is said from here on has this colour; nothing happens on a page without colour. */
void page_colour(const struct page *page, enum page_colour colour);
