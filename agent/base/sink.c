#include "base/sink.h"

#include "base/cleanup.h"
#include "base/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What stands before a line's first field. */
#define HEAD_MAX 64
/* How long a stderr that someone else made non-blocking is waited for. */
#define EAGAIN_MS 1000

/* A line on its way to the writer: its fields, and what its head is made from. */
struct entry {
    struct letter letter; /* first: the mailbox hands back a pointer to it */
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
} sink = {.stamped = true};

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
        atomic_store(&sink.torn, sent < len);
    }
    return sent == len;
}

const char *sink_prefix(enum log_level level)
{
    static const char *const prefixes[] = {"<3>", "<4>", "<6>", "<7>"};
    return prefixes[level];
}

/* Writes what stands before the fields: the end of a torn line, the priority and the time. */
static size_t write_head(const struct entry *entry, char head[static HEAD_MAX])
{
    size_t len = 0;
    if (atomic_load(&sink.torn)) {
        head[len++] = '\n';
    }
    if (atomic_load(&sink.prefixed)) {
        len += (size_t)snprintf(head + len, HEAD_MAX - len, "%s", sink_prefix(entry->level));
    }
    bool is_json = entry->format == LOG_JSON;
    if (is_json) {
        head[len++] = '{';
    }
    if (atomic_load(&sink.stamped)) {
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
    char text[HEAD_MAX + LOG_LINE_MAX + sizeof("}\n")];
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
    atomic_fetch_add_explicit(&sink.dropped, 1, memory_order_relaxed);
}

static void deliver(struct entry *entry)
{
    if (!write_entry(entry)) {
        count_dropped();
    }
    free(entry);
}

/* Makes an entry of a finished line; NULL when memory is out. */
static struct entry *entry_new(const struct sink_line *line)
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
    unsigned before = atomic_fetch_add_explicit(&sink.waiting, 1, memory_order_relaxed);
    if (before >= LOG_QUEUE_MAX) {
        atomic_fetch_sub_explicit(&sink.waiting, 1, memory_order_relaxed);
        count_dropped();
        free(entry);
        return;
    }
    if (mailbox_put(&sink.box, &entry->letter)) {
        sem_post(&sink.wake);
    }
}

void sink_put(const struct sink_line *line)
{
    enum mode mode = atomic_load(&sink.mode);
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
    uint64_t dropped = sink_dropped();
    if (dropped == sink.told) {
        return;
    }
    struct log_line line;
    log_begin(&line, LEVEL_WARNING, "log lines were dropped");
    log_number(&line, "count", dropped - sink.told);
    log_text(&line, "detail", "whoever reads this log, or its disk, did not keep up");
    const struct sink_line fields = {line.level, line.format, line.len, line.text};
    AUTO_FREE struct entry *entry = line.wanted ? entry_new(&fields) : NULL;
    if (entry != NULL && write_entry(entry)) {
        sink.told = dropped;
    }
}

static void *write_lines(void *ctx)
{
    (void)ctx;
    bool is_last;
    do {
        while (sem_wait(&sink.wake) < 0) {
            /* only a signal can interrupt it */
        }
        is_last = atomic_load(&sink.stopping);
        struct letter *letter = mailbox_take(&sink.box);
        while (letter != NULL) {
            struct letter *next = letter->next;
            deliver((struct entry *)(void *)letter);
            atomic_fetch_sub_explicit(&sink.waiting, 1, memory_order_relaxed);
            letter = next;
        }
        tell_dropped();
    } while (!is_last);
    sem_post(&sink.done);
    return NULL;
}

int sink_start(void)
{
    enum mode mode = atomic_load(&sink.mode);
    if (mode != DIRECT) {
        return mode == HANDED ? 0 : -1;
    }
    sem_init(&sink.wake, 0, 0);
    sem_init(&sink.done, 0, 0);
    atomic_store(&sink.stopping, false);
    sink.told = sink_dropped();

    /* Signals are for the control thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&sink.thread, NULL, write_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        return -1;
    }
    pthread_setname_np(sink.thread, "log");
    atomic_store(&sink.mode, HANDED);
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
        result = sem_timedwait(&sink.done, &until);
    } while (result < 0 && errno == EINTR);
    return result == 0;
}

void sink_stop(unsigned patience_ms)
{
    if (atomic_load(&sink.mode) != HANDED) {
        return;
    }
    atomic_store(&sink.stopping, true);
    sem_post(&sink.wake);
    if (wait_until_done(patience_ms)) {
        pthread_join(sink.thread, NULL);
        sem_destroy(&sink.wake);
        sem_destroy(&sink.done);
        atomic_store(&sink.mode, DIRECT);
    } else {
        pthread_detach(sink.thread);
        atomic_store(&sink.mode, LOST);
    }
}

/* ---- what stderr is ---- */

/* True when stderr goes to the journal, which notes the time itself (JOURNAL_STREAM in
 * systemd.exec(5)). */
bool sink_is_journal(void)
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

void sink_configure(void)
{
    atomic_store(&sink.prefixed, !isatty(STDERR_FILENO));
    atomic_store(&sink.stamped, !sink_is_journal());
}

uint64_t sink_dropped(void)
{
    return atomic_load_explicit(&sink.dropped, memory_order_relaxed);
}
