#include "base/log.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/sink.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Kept free in a line for a closing quote and the mark that it was cut. */
#define TAIL_ROOM  16
#define NUMBER_MAX 24

/* All functions keep errno: whoever logs an error still needs it. */
#define KEEP_ERRNO AUTO(restore_errno) __attribute__((unused)) int kept_errno = errno

static struct {
    _Atomic(enum log_level) level;
    _Atomic(enum log_format) format;
} settings = {.level = LEVEL_INFO};

static void restore_errno(const int *kept)
{
    errno = *kept;
}

/* ---- a line's fields ---- */

static const char *level_word(enum log_level level)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    return words[level];
}

/* Appends the whole text, or nothing and marks the line as cut. */
static bool put(struct log_line *line, const char *text, size_t len)
{
    if (line->len + len > LOG_LINE_MAX - TAIL_ROOM) {
        line->cut = true;
        return false;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
    return true;
}

/* Appends a key and how its value begins. Once a line is cut no field follows. */
static bool put_key(struct log_line *line, const char *key, const char *value)
{
    if (!line->wanted || line->cut) {
        return false;
    }
    bool is_first = line->len == 0;
    char field[LOG_LINE_MAX];
    int len = line->format == LOG_JSON
                  ? snprintf(field, sizeof(field), "%s\"%s\":%s", is_first ? "" : ",", key, value)
                  : snprintf(field, sizeof(field), "%s%s=%s", is_first ? "" : " ", key, value);
    return put(line, field, (size_t)len);
}

void log_begin(struct log_line *line, enum log_level level, const char *message)
{
    line->level = level;
    line->format = atomic_load_explicit(&settings.format, memory_order_relaxed);
    line->len = 0;
    line->wanted = log_wants(level);
    line->cut = false;
    log_text(line, "level", level_word(level));
    log_text(line, "msg", message);
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    if (!line->wanted || value == NULL) {
        return;
    }
    enum escape_style style = line->format == LOG_JSON ? ESCAPE_JSON : ESCAPE_TEXT;
    bool is_quoted = style == ESCAPE_JSON || escape_needs_quotes(value);
    if (!put_key(line, key, is_quoted ? "\"" : "")) {
        return;
    }
    while (*value != '\0') {
        char escaped[ESCAPE_MAX];
        value += escape_next(value, style, escaped);
        if (!put(line, escaped, strlen(escaped))) {
            break;
        }
    }
    if (is_quoted) {
        line->text[line->len++] = '"';
    }
}

void log_number(struct log_line *line, const char *key, uint64_t value)
{
    char number[NUMBER_MAX];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
    put_key(line, key, number);
}

void log_seconds(struct log_line *line, const char *key, uint64_t ms)
{
    char number[NUMBER_MAX];
    snprintf(number, sizeof(number), "%llu.%03u", (unsigned long long)(ms / 1000),
             (unsigned)(ms % 1000));
    put_key(line, key, number);
}

void log_bool(struct log_line *line, const char *key, bool value)
{
    log_text(line, key, value ? "yes" : "no");
}

void log_reason(struct log_line *line, enum reason reason, bool by_peer)
{
    log_text(line, "reason", reason_word(reason));
    log_text(line, "side", reason_side_word(reason_side(reason, by_peer)));
}

void log_end(struct log_line *line)
{
    KEEP_ERRNO;
    if (!line->wanted) {
        return;
    }
    if (line->cut) {
        const char *mark = line->format == LOG_JSON ? ",\"cut\":\"yes\"" : " cut=yes";
        memcpy(line->text + line->len, mark, strlen(mark));
        line->len += strlen(mark);
    }
    const struct sink_line finished = {line->level, line->format, line->len, line->text};
    sink_put(&finished);
}

/* ---- settings and the rest ---- */

void log_configure(enum log_level level, enum log_format format)
{
    KEEP_ERRNO;
    atomic_store(&settings.level, level);
    atomic_store(&settings.format, format);
    sink_configure();
}

int log_start(void)
{
    KEEP_ERRNO;
    return sink_start();
}

void log_stop(unsigned patience_ms)
{
    KEEP_ERRNO;
    sink_stop(patience_ms);
}

const char *log_journal_prefix(enum log_level level)
{
    return sink_is_journal() ? sink_prefix(level) : "";
}

bool log_wants(enum log_level level)
{
    return level <= atomic_load_explicit(&settings.level, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
    return sink_dropped();
}

void log_message(enum log_level level, const char *format, ...)
{
    KEEP_ERRNO;
    if (!log_wants(level)) {
        return;
    }
    char message[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    struct log_line line;
    log_begin(&line, level, message);
    log_end(&line);
}

bool log_due(uint64_t *last_ms, uint64_t interval_ms)
{
    uint64_t now = clock_ms();
    if (*last_ms != 0 && now - *last_ms < interval_ms) {
        return false;
    }
    *last_ms = now;
    return true;
}
