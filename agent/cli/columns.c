#include "cli/columns.h"

#include <locale.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>

#define ELLIPSIS "…"

void columns_prepare(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* The length in bytes of the character at `text`, and how wide it is. */
static size_t measure(const char *text, size_t *ret_columns)
{
    wchar_t wide;
    mbstate_t state = {0};
    size_t len = 1;
    while (is_continuation(text[len])) {
        len++;
    }
    bool is_known = mbrtowc(&wide, text, len, &state) == len;
    int columns = is_known ? wcwidth(wide) : 1;
    *ret_columns = columns < 0 ? 1 : (size_t)columns;
    return len;
}

size_t columns_of(const char *text)
{
    size_t sum = 0, columns;
    while (*text != '\0') {
        text += measure(text, &columns);
        sum += columns;
    }
    return sum;
}

size_t columns_fit(const char *text, size_t columns)
{
    const char *at = text;
    size_t next;
    while (*at != '\0') {
        size_t len = measure(at, &next);
        if (next > columns) {
            break;
        }
        columns -= next;
        at += len;
    }
    return (size_t)(at - text);
}

/* Where the last `columns` of a text begin. */
static const char *find_tail(const char *text, size_t columns)
{
    size_t all = columns_of(text), width;
    while (all > columns) {
        text += measure(text, &width);
        all -= width;
    }
    return text;
}

/* Leaves `head` columns of the start, and `tail` of the end. */
static void cut(char *text, size_t head, size_t tail)
{
    const char *rest = find_tail(text, tail);
    size_t rest_len = strlen(rest);
    char *end = text + columns_fit(text, head);
    memmove(end + strlen(ELLIPSIS), rest, rest_len + 1);
    memcpy(end, ELLIPSIS, strlen(ELLIPSIS));
}

void columns_cut_end(char *text, size_t columns)
{
    if (columns == 0) {
        *text = '\0';
    } else if (columns_of(text) > columns) {
        cut(text, columns - 1, 0);
    }
}

void columns_cut_middle(char *text, size_t columns)
{
    if (columns == 0) {
        *text = '\0';
    } else if (columns_of(text) > columns) {
        cut(text, columns / 2, columns - 1 - columns / 2);
    }
}
