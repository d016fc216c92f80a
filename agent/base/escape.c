#include "base/escape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* How many bytes a UTF-8 character has by its first one; 0 when no character begins so. */
static size_t announced_length(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc0 || first >= 0xf8) {
        return 0;
    }
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The length of the valid UTF-8 character at `text`, with its code point; 0 when there is none. The
 * final NUL is no continuation byte, so nothing behind it is read. */
static size_t decode(const uint8_t *text, uint32_t *ret_point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = announced_length(text[0]);
    uint32_t point = len <= 1 ? text[0] : text[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (text[i] & 0x3fU);
    }
    bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    if (point < smallest[len] || point > 0x10ffff || is_surrogate) {
        return 0;
    }
    *ret_point = point;
    return len;
}

/* Characters that act on the reader's terminal, or on the order in which it shows the others. */
static bool is_control(uint32_t point)
{
    bool turns = point == 0x200e || point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
                 (point >= 0x2066 && point <= 0x2069);
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || turns;
}

void escape_blank(char *text)
{
    while (*text != '\0') {
        uint32_t point = 0;
        size_t len = decode((const uint8_t *)text, &point);
        if (len == 0 || is_control(point)) {
            len = len == 0 ? 1 : len;
            memset(text, '?', len);
        }
        text += len;
    }
}

/* The letter that stands behind a backslash for `point`; 0 when it has none. */
static char short_escape(uint32_t point)
{
    switch (point) {
    case '"':
    case '\\':
        return (char)point;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

size_t escape_next(const char *text, enum escape_style style, char ret_escaped[static ESCAPE_MAX])
{
    const uint8_t *bytes = (const uint8_t *)text;
    uint32_t point;
    size_t len = decode(bytes, &point);
    if (len == 0) {
        if (style == ESCAPE_JSON) {
            memcpy(ret_escaped, "\\ufffd", sizeof("\\ufffd"));
        } else {
            snprintf(ret_escaped, ESCAPE_MAX, "\\x%02x", bytes[0]);
        }
        return 1;
    }
    char letter = short_escape(point);
    if (letter != 0) {
        memcpy(ret_escaped, (char[]){'\\', letter, '\0'}, 3);
    } else if (is_control(point)) {
        snprintf(ret_escaped, ESCAPE_MAX, "\\u%04x", (unsigned)point & 0xffff);
    } else {
        memcpy(ret_escaped, text, len);
        ret_escaped[len] = '\0';
    }
    return len;
}

bool escape_needs_quotes(const char *text)
{
    const char *at = text;
    while (*at != '\0') {
        char escaped[ESCAPE_MAX];
        size_t len = escape_next(at, ESCAPE_TEXT, escaped);
        if (*at == ' ' || *at == '=' || escaped[0] == '\\') {
            return true;
        }
        at += len;
    }
    return at == text;
}
