#include "probe/page.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <stdarg.h>

__attribute__((format(printf, 2, 0))) static void say(const struct page *page, const char *format,
                                                      va_list args)
{
    AUTO_FREE char *text = NULL;
    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
        return;
    }
    escape_blank(text);
    fputs(text, page->out);
}

void page_begin(const struct page *page, const char *label)
{
    fprintf(page->out, "    %-11s ", label);
}

void page_say(const struct page *page, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(page, format, args);
    va_end(args);
}

void page_end(const struct page *page)
{
    fputc('\n', page->out);
}

void page_line(const struct page *page, const char *label, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    page_begin(page, label);
    say(page, format, args);
    page_end(page);
    va_end(args);
}

void page_colour(const struct page *page, enum page_colour colour)
{
    if (page->in_colour) {
        fprintf(page->out, "\033[%dm", (int)colour);
    }
}
