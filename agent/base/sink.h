/* Where the log's lines go: to stderr, through a thread of its own once it was started. See log.h
 * for what that promises. */
#pragma once

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The fields of a finished line, without what stands before and behind them. */
struct sink_line {
    enum log_level level;
    enum log_format format;
    size_t len;
    const char *text;
};

/* Writes a line, or hands it over to be written, or drops and counts it. Never waits for a reader
 * once the thread runs. */
void sink_put(const struct sink_line *line);

/* What sd-daemon(3) wants before a line of this level, for example "<3>". */
const char *sink_prefix(enum log_level level);

/* True when stderr goes to the journal. */
bool sink_is_journal(void);

/* Looks at what stderr is: a terminal gets no priorities, the journal no time. */
void sink_configure(void);

/* Starts the thread. Returns -1 when it cannot be started. */
int sink_start(void);

/* Writes what waits, for at most `patience_ms`, and ends the thread. */
void sink_stop(unsigned patience_ms);

/* Lines dropped since the start. */
uint64_t sink_dropped(void);
