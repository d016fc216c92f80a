#include "config/ini.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <ini.h>

static const char blanks[] = " \t";

struct walk {
    const char *rest, *end; /* what was not read yet */
    unsigned line;          /* the one read last */
    bool is_unsettled;      /* inih was given that line and has made nothing of it so far */
    const struct ini_events *events;
};

/* One line without its end and its leading blanks. */
struct line {
    const char *text;
    size_t len;
};

static void tell_bad(struct walk *walk, const char *why)
{
    walk->events->bad(walk->events->ctx, walk->line, why);
}

/* Takes the next line. Its leading blanks are dropped because inih would join an indented line to
 * the value before it. */
static bool next_line(struct walk *walk, struct line *ret_line)
{
    if (walk->rest == walk->end) {
        return false;
    }
    size_t left = (size_t)(walk->end - walk->rest);
    const char *newline = memchr(walk->rest, '\n', left);
    struct line line = {walk->rest, newline != NULL ? (size_t)(newline - walk->rest) : left};
    walk->rest = newline != NULL ? newline + 1 : walk->end;
    walk->line++;
    if (line.len > 0 && line.text[line.len - 1] == '\r') {
        line.len--;
    }
    while (line.len > 0 && strchr(blanks, *line.text) != NULL && *line.text != '\0') {
        line.text++;
        line.len--;
    }
    *ret_line = line;
    return true;
}

static bool is_comment(const struct line *line)
{
    return line->len == 0 || *line->text == ';' || *line->text == '#';
}

/* What is wrong with the bytes of a line, or NULL. */
static const char *bytes_fault(const struct line *line)
{
    if (memchr(line->text, '\0', line->len) != NULL) {
        return "the line has a NUL byte; remove it";
    }
    if (memchr(line->text, '\r', line->len) != NULL) {
        return "the line has a carriage return in it; end lines with LF or CRLF";
    }
    if (is_comment(line)) {
        return NULL;
    }
    for (size_t i = 0; i < line->len; i++) {
        unsigned char byte = (unsigned char)line->text[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return "the line has a control character; remove it";
        }
    }
    return NULL;
}

/* Tells of a line that begins with "[". */
static void announce_section(struct walk *walk, const struct line *line)
{
    char header[256];
    const char *text = line->text + 1;
    const char *end = memchr(text, ']', line->len - 1);
    if (end == NULL) {
        tell_bad(walk, "the section's closing bracket is missing; write ] after its name");
        return;
    }
    const char *after = end + 1;
    size_t len = line->len - (size_t)(after - line->text);
    size_t gap = 0;
    while (gap < len && strchr(blanks, after[gap]) != NULL) {
        gap++;
    }
    if (gap < len && (gap == 0 || after[gap] != ';')) {
        tell_bad(walk, "there is text after the section's ]; move it to a line of its own");
        return;
    }
    while (end > text && strchr(blanks, end[-1]) != NULL) {
        end--;
    }
    while (text < end && strchr(blanks, *text) != NULL) {
        text++;
    }
    snprintf(header, sizeof(header), "%.*s", (int)(end - text), text);
    walk->events->section(walk->events->ctx, walk->line, header);
}

/* Tells of the line that inih was given last, when inih has passed over it. */
static void settle(struct walk *walk)
{
    if (walk->is_unsettled) {
        walk->is_unsettled = false;
        tell_bad(walk, "the line is neither [section] nor key = value; a comment begins with ;");
    }
}

/* Deals with all but "key = value" and returns true for that. `limit` is inih's. */
static bool is_for_inih(struct walk *walk, const struct line *line, size_t limit)
{
    const char *fault = bytes_fault(line);
    if (fault != NULL) {
        tell_bad(walk, fault);
        return false;
    }
    if (is_comment(line)) {
        return false;
    }
    if (line->len > limit) {
        char why[160];
        snprintf(why, sizeof(why),
                 "the line has %zu bytes and the limit is %zu; shorten it, or give a list by "
                 "repeating its key",
                 line->len, limit);
        tell_bad(walk, why);
        return false;
    }
    if (*line->text == '[') {
        announce_section(walk, line);
        return false;
    }
    return true;
}

/* inih's reader: fills `buffer` with the next line that is for inih. */
static char *feed(char *buffer, int size, void *stream)
{
    struct walk *walk = stream;
    struct line line;
    /* Room for the newline, without which newer versions of inih skip the line as too long, and for
     * the NUL. */
    size_t limit = size > 2 ? (size_t)size - 2 : 0;
    settle(walk);
    while (next_line(walk, &line)) {
        if (is_for_inih(walk, &line, limit)) {
            memcpy(buffer, line.text, line.len);
            memcpy(buffer + line.len, "\n", 2);
            walk->is_unsettled = true;
            return buffer;
        }
    }
    return NULL;
}

/* inih's handler. */
static int take(void *ctx, const char *section, const char *key, const char *value)
{
    (void)section; /* inih never saw a header: it would cut long ones */
    struct walk *walk = ctx;
    walk->is_unsettled = false;
    walk->events->key(walk->events->ctx, walk->line, key, value != NULL ? value : "");
    return 1;
}

void ini_walk(const char *text, size_t len, const struct ini_events *events)
{
    static const char mark[] = "\xef\xbb\xbf";
    struct walk walk = {.rest = text, .end = text + len, .events = events};
    if (len >= 3 && memcmp(text, mark, 3) == 0) {
        walk.rest += 3;
    }
    /* Its result names the first bad line only; settle() has told of them all. */
    ini_parse_stream(feed, &walk, take, &walk);
    settle(&walk);
}
