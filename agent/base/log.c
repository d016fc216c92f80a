#include "base/log.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What stands before a line's first field, and the newline behind the last. */
#define HEAD_MAX 64
/* Kept free in a line for a closing quote and the mark that it was cut. */
#define TAIL_ROOM  16
#define NUMBER_MAX 24
/* How long a stderr that someone else made non-blocking is waited for. */
#define EAGAIN_MS 1000

/* All functions keep errno: whoever logs an error still needs it. */
#define KEEP_ERRNO AUTO(restore_errno) __attribute__((unused)) int kept_errno = errno

/* A finished line on its way to the writer: its fields, and what its head is made from. */
struct entry {
    struct letter letter;
    struct timespec when;
    enum log_level level;
    enum log_format format;
    size_t len;
    char text[];
};

enum mode {
    DIRECT, /* no thread: whoever logs also writes */
    HANDED, /* the thread writes */
    LOST,   /* the thread was given up, stuck in a write: nobody may follow it into that */
};

static struct {
    _Atomic(enum log_level) level;
    _Atomic(enum log_format) format;
    _Atomic(bool) prefixed; /* with journal priorities */
    _Atomic(bool) stamped;  /* with the time */
    _Atomic(bool) torn;     /* the last write ended inside a line */
    _Atomic(uint64_t) dropped;
    uint64_t told; /* of those, how many the log itself has mentioned; the writer's */

    _Atomic(enum mode) mode;
    _Atomic(unsigned) waiting;
    struct mailbox box;
    _Atomic(bool) stopping;
    sem_t wake, done;
    pthread_t thread;
} logger = {.level = LEVEL_INFO, .stamped = true};

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
    if (len > LOG_LINE_MAX - TAIL_ROOM - line->len) {
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
    line->format = atomic_load_explicit(&logger.format, memory_order_relaxed);
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

/* ---- writing ---- */

/* Writes the whole text to stderr; false when it did not go out entirely. */
static bool write_all(const char *text, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = write(STDERR_FILENO, text + sent, len - sent);
        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
        bool again = errno == EINTR || (errno == EAGAIN && poll(&writable, 1, EAGAIN_MS) > 0);
        if (!again) {
            break;
        }
    }
    if (sent > 0) {
        atomic_store(&logger.torn, sent < len);
    }
    return sent == len;
}

/* Writes what stands before the fields: the end of a torn line, the priority and the time. */
static size_t write_head(const struct entry *entry, char head[static HEAD_MAX])
{
    static const unsigned priorities[] = {3, 4, 6, 7}; /* sd-daemon(3) */
    size_t len = 0;
    if (atomic_load(&logger.torn)) {
        head[len++] = '\n';
    }
    if (atomic_load(&logger.prefixed)) {
        len += (size_t)snprintf(head + len, HEAD_MAX - len, "<%u>", priorities[entry->level]);
    }
    bool is_json = entry->format == LOG_JSON;
    if (is_json) {
        head[len++] = '{';
    }
    if (atomic_load(&logger.stamped)) {
        struct tm utc;
        char date[32];
        gmtime_r(&entry->when.tv_sec, &utc);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
        len += (size_t)snprintf(head + len, HEAD_MAX - len,
                                is_json ? "\"time\":\"%s.%03ldZ\"," : "time=%s.%03ldZ ", date,
                                entry->when.tv_nsec / 1000000);
    }
    return len;
}

static bool write_entry(const struct entry *entry)
{
    char text[HEAD_MAX + LOG_LINE_MAX];
    size_t len = write_head(entry, text);
    memcpy(text + len, entry->text, entry->len);
    len += entry->len;
    if (entry->format == LOG_JSON) {
        text[len++] = '}';
    }
    text[len++] = '\n';
    return write_all(text, len);
}

static void count_dropped(void)
{
    atomic_fetch_add_explicit(&logger.dropped, 1, memory_order_relaxed);
}

static void deliver(struct entry *entry)
{
    if (!write_entry(entry)) {
        count_dropped();
    }
    free(entry);
}

/* Makes an entry of a finished line; NULL when memory is out. */
static struct entry *entry_new(const struct log_line *line)
{
    struct entry *entry = malloc(sizeof(*entry) + line->len);
    if (entry != NULL) {
        entry->level = line->level;
        entry->format = line->format;
        entry->len = line->len;
        clock_gettime(CLOCK_REALTIME, &entry->when);
        memcpy(entry->text, line->text, line->len);
    }
    return entry;
}

/* ---- the hand-over ---- */

static void hand_over(struct entry *entry)
{
    unsigned before = atomic_fetch_add_explicit(&logger.waiting, 1, memory_order_relaxed);
    if (before >= LOG_QUEUE_MAX) {
        atomic_fetch_sub_explicit(&logger.waiting, 1, memory_order_relaxed);
        count_dropped();
        free(entry);
        return;
    }
    if (mailbox_put(&logger.box, &entry->letter)) {
        sem_post(&logger.wake);
    }
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
    enum mode mode = atomic_load(&logger.mode);
    struct entry *entry = mode == LOST ? NULL : entry_new(line);
    if (entry == NULL) {
        count_dropped();
    } else if (mode == HANDED) {
        hand_over(entry);
    } else {
        deliver(entry);
    }
}

/* Says how many lines were dropped since that was last said. */
static void tell_dropped(void)
{
    uint64_t dropped = log_dropped();
    if (dropped == logger.told) {
        return;
    }
    struct log_line line;
    log_begin(&line, LEVEL_WARNING, "log lines were dropped");
    log_number(&line, "count", dropped - logger.told);
    log_text(&line, "detail", "whoever reads this log, or its disk, did not keep up");
    AUTO_FREE struct entry *entry = line.wanted ? entry_new(&line) : NULL;
    if (entry != NULL && write_entry(entry)) {
        logger.told = dropped;
    }
}

static void *write_lines(void *ctx)
{
    (void)ctx;
    bool is_last;
    do {
        while (sem_wait(&logger.wake) < 0) {
            /* only a signal can interrupt it */
        }
        is_last = atomic_load(&logger.stopping);
        struct letter *letter = mailbox_take(&logger.box);
        while (letter != NULL) {
            struct letter *next = letter->next;
            deliver((struct entry *)(void *)letter);
            atomic_fetch_sub_explicit(&logger.waiting, 1, memory_order_relaxed);
            letter = next;
        }
        tell_dropped();
    } while (!is_last);
    sem_post(&logger.done);
    return NULL;
}

int log_start(void)
{
    KEEP_ERRNO;
    enum mode mode = atomic_load(&logger.mode);
    if (mode != DIRECT) {
        return mode == HANDED ? 0 : -1;
    }
    sem_init(&logger.wake, 0, 0);
    sem_init(&logger.done, 0, 0);
    atomic_store(&logger.stopping, false);
    logger.told = log_dropped();

    /* Signals are for the control thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&logger.thread, NULL, write_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        return -1;
    }
    pthread_setname_np(logger.thread, "log");
    atomic_store(&logger.mode, HANDED);
    return 0;
}

static bool wait_until_done(unsigned patience_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + (uint64_t)patience_ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);

    int result;
    do {
        result = sem_timedwait(&logger.done, &until);
    } while (result < 0 && errno == EINTR);
    return result == 0;
}

void log_stop(unsigned patience_ms)
{
    KEEP_ERRNO;
    if (atomic_load(&logger.mode) != HANDED) {
        return;
    }
    atomic_store(&logger.stopping, true);
    sem_post(&logger.wake);
    if (wait_until_done(patience_ms)) {
        pthread_join(logger.thread, NULL);
        sem_destroy(&logger.wake);
        sem_destroy(&logger.done);
        atomic_store(&logger.mode, DIRECT);
    } else {
        pthread_detach(logger.thread);
        atomic_store(&logger.mode, LOST);
    }
}

/* ---- settings and the rest ---- */

/* True when stderr goes to the journal, which notes the time itself (JOURNAL_STREAM in
 * systemd.exec(5)). */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char ours[64];
    if (stream == NULL || fstat(STDERR_FILENO, &status) < 0) {
        return false;
    }
    snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, ours) == 0;
}

void log_configure(enum log_level level, enum log_format format)
{
    KEEP_ERRNO;
    atomic_store(&logger.level, level);
    atomic_store(&logger.format, format);
    atomic_store(&logger.prefixed, !isatty(STDERR_FILENO));
    atomic_store(&logger.stamped, !is_journal());
}

bool log_wants(enum log_level level)
{
    return level <= atomic_load_explicit(&logger.level, memory_order_relaxed);
}

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&logger.dropped, memory_order_relaxed);
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
