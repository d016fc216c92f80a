/* Untrusted text inside a log line: what a reader must not see raw is escaped, one character at a
 * time, so that a line can be cut between two of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Room for the longest escape and its final NUL. */
#define ESCAPE_MAX 8

enum escape_style {
    ESCAPE_TEXT, /* logfmt: an invalid byte becomes \xNN */
    ESCAPE_JSON, /* RFC 8259 section 7: an invalid byte becomes U+FFFD */
};

/* Writes the character that begins at `text`, which must not be at its end, as it may stand between
 * double quotes: as it is, or escaped when it is a quote, a backslash, a control character (C0, DEL
 * or C1, or one that turns the direction of writing) or no valid UTF-8 (RFC 3629). Returns how many
 * bytes of `text` that was. */
size_t escape_next(const char *text, enum escape_style style, char ret_escaped[static ESCAPE_MAX]);

/* Makes a text fit for a terminal, in its own place: what escape_next() would escape but quotes and
 * backslashes becomes question marks. */
void escape_blank(char *text);

/* True when a logfmt value cannot stand without quotes. */
bool escape_needs_quotes(const char *text);
