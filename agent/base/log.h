/* The log: one line per event, logfmt or JSON, to stderr.
 *
 * Lines are handed without a lock to a thread that writes them, so a reader that does not read, or
 * a disk that is full, costs log lines and never a session. At most LOG_QUEUE_MAX lines wait; what
 * is dropped is counted, and told in a line of its own once writing works again. Before log_start()
 * and after log_stop() lines are written directly.
 *
 * Untrusted text may be a value: it is quoted and escaped, control characters and invalid UTF-8
 * included. All functions keep errno. */
#pragma once

#include "base/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX  2048 /* bytes; a longer line is cut at a value and says so */
#define LOG_QUEUE_MAX 4096 /* lines */

enum log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_INFO, LEVEL_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* A line under construction. */
struct log_line {
    enum log_level level;
    enum log_format format;
    size_t len;
    bool wanted; /* the level is enabled */
    bool cut;
    char text[LOG_LINE_MAX];
};

/* Sets what is written, and how. May be called again at any time from the control thread. */
void log_configure(enum log_level level, enum log_format format);

/* Starts the writing thread. Returns -1 when it cannot; lines are then written directly. */
int log_start(void);

/* Writes what waits, for at most `patience_ms`, and ends the thread. */
void log_stop(unsigned patience_ms);

/* What sd-daemon(3) wants before a line of this level, or "" where stderr does not go to the
 * journal: for what is printed besides the log. */
const char *log_journal_prefix(enum log_level level);

/* True when lines of this level are written. */
bool log_wants(enum log_level level);

/* Lines dropped since the start. */
uint64_t log_dropped(void);

/* Builds and sends a line: log_begin(), then fields, then log_end(). Cheap when not wanted. */
void log_begin(struct log_line *line, enum log_level level, const char *message);
void log_text(struct log_line *line, const char *key, const char *value); /* NULL: left out */
void log_number(struct log_line *line, const char *key, uint64_t value);
void log_seconds(struct log_line *line, const char *key, uint64_t ms);    /* 1234 ms as 1.234 */
void log_bool(struct log_line *line, const char *key, bool value);        /* yes or no */
void log_reason(struct log_line *line, enum reason reason, bool by_peer); /* reason= and side= */
void log_end(struct log_line *line);

/* A line that is only a message. */
void log_message(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For events that can repeat without end: true at most once per `interval_ms`. `*last_ms` starts as
 * 0 and belongs to one thread. */
bool log_due(uint64_t *last_ms, uint64_t interval_ms);
