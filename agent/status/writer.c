#include "status/writer.h"

#include "base/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MIN ((size_t)4096)

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Makes room for `more` bytes and a NUL. */
static bool make_room(struct writer *writer, size_t more)
{
    if (writer->is_broken || more < writer->size - writer->len) {
        return !writer->is_broken;
    }
    size_t size = writer->size > 0 ? writer->size : SIZE_MIN;
    while (size - writer->len <= more) {
        size *= 2;
    }
    char *text = realloc(writer->text, size);
    if (text == NULL) {
        writer->is_broken = true;
        return false;
    }
    writer->text = text;
    writer->size = size;
    return true;
}

void writer_add_bytes(struct writer *writer, const char *bytes, size_t len)
{
    if (make_room(writer, len)) {
        memcpy(writer->text + writer->len, bytes, len);
        writer->len += len;
    }
}

void writer_add(struct writer *writer, const char *text)
{
    writer_add_bytes(writer, text, strlen(text));
}

void writer_number(struct writer *writer, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    writer_add_bytes(writer, digits + at, sizeof(digits) - at);
}

void writer_format(struct writer *writer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        writer->is_broken = true;
        return;
    }
    writer_add_bytes(writer, text, (size_t)len);
    free(text);
}

/* The number of bytes that can be taken as they are. */
static size_t plain_len(const char *text, writer_escape *escape)
{
    size_t len = 0;
    for (unsigned char c; (c = (unsigned char)text[len]) != '\0' && c < 0x80; len++) {
        if (escape != NULL && escape(c) != NULL) {
            break;
        }
    }
    return len;
}

/* Adds one character that cannot. Returns how many bytes that was. */
static size_t add_character(struct writer *writer, const char *text, writer_escape *escape)
{
    unsigned char c = (unsigned char)*text;
    if (c < 0x80) {
        writer_add(writer, escape(c));
        return 1;
    }
    char ignored[ESCAPE_MAX];
    size_t len = escape_next(text, ESCAPE_JSON, ignored);
    bool is_valid = len > 1;
    writer_add_bytes(writer, is_valid ? text : REPLACEMENT, is_valid ? len : strlen(REPLACEMENT));
    return len;
}

void writer_untrusted(struct writer *writer, const char *text, writer_escape *escape)
{
    while (*text != '\0') {
        size_t len = plain_len(text, escape);
        if (len > 0) {
            writer_add_bytes(writer, text, len);
        } else {
            len = add_character(writer, text, escape);
        }
        text += len;
    }
}

char *writer_take(struct writer *writer, size_t *ret_len)
{
    if (!make_room(writer, 0)) {
        writer_release(writer);
        return NULL;
    }
    char *text = writer->text;
    text[writer->len] = '\0';
    *ret_len = writer->len;
    *writer = (struct writer){0};
    return text;
}

void writer_release(struct writer *writer)
{
    free(writer->text);
    *writer = (struct writer){0};
}
