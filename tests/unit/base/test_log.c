#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 8
#define LINES   400
#define TORRENT (2UL * LOG_QUEUE_MAX)

/* stderr is a pipe while a test runs. */
struct captured {
    int real_stderr;
    int reader;
    char text[1 << 20];
    size_t len;
};

static struct captured captured;

static void set_reader_flags(int flags)
{
    assert_int_equal(fcntl(captured.reader, F_SETFL, flags), 0);
}

static int capture(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    captured.real_stderr = dup(STDERR_FILENO);
    captured.reader = ends[0];
    captured.len = 0;
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    unsetenv("JOURNAL_STREAM");
    log_configure(LEVEL_INFO, LOG_TEXT);
    return 0;
}

static int release(void **state)
{
    (void)state;
    log_stop(5000);
    dup2(captured.real_stderr, STDERR_FILENO);
    close(captured.real_stderr);
    close(captured.reader);
    return 0;
}

/* Reads what has been written so far. */
static const char *written(void)
{
    set_reader_flags(O_NONBLOCK);
    ssize_t n;
    while (captured.len < sizeof(captured.text) - 1 &&
           (n = read(captured.reader, captured.text + captured.len,
                     sizeof(captured.text) - 1 - captured.len)) > 0) {
        captured.len += (size_t)n;
    }
    captured.text[captured.len] = '\0';
    return captured.text;
}

/* What has been written, from the end of the time stamp on. */
static const char *after_time(void)
{
    const char *stamp = strstr(written(), "Z ");
    assert_non_null(stamp);
    return stamp + 2;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        n++;
    }
    return n;
}

/* ---- text ---- */

static void a_line_has_time_level_message_and_fields_in_order(void **state)
{
    (void)state;
    struct log_line line;
    log_begin(&line, LEVEL_WARNING, "two words");
    log_text(&line, "service", "orders");
    log_text(&line, "missing", NULL);
    log_number(&line, "sent", UINT64_MAX);
    log_seconds(&line, "duration", 61007);
    log_bool(&line, "resumed", false);
    log_reason(&line, REASON_tls_version, true);
    log_end(&line);
    assert_string_equal(after_time(),
                        "level=warning msg=\"two words\" service=orders sent=18446744073709551615 "
                        "duration=61.007 resumed=no reason=tls_version side=they_refused\n");
}

static void the_head_is_priority_and_utc_with_milliseconds(void **state)
{
    (void)state;
    static const struct {
        enum log_level level;
        char priority;
    } levels[] = {{LEVEL_ERROR, '3'}, {LEVEL_WARNING, '4'}, {LEVEL_INFO, '6'}, {LEVEL_DEBUG, '7'}};
    log_configure(LEVEL_DEBUG, LOG_TEXT);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        captured.len = 0;
        log_message(levels[i].level, "hello");
        const char *text = written();
        unsigned year, ms;
        char priority, zone;
        assert_int_equal(sscanf(text, "<%c>time=%4u-%*2u-%*2uT%*2u:%*2u:%*2u.%3u%c level=",
                                &priority, &year, &ms, &zone),
                         4);
        assert_int_equal(priority, levels[i].priority);
        assert_true(year >= 2024);
        assert_int_equal(zone, 'Z');
    }
}

static void the_journal_stamps_lines_itself(void **state)
{
    (void)state;
    struct stat status;
    char stream[64];
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_configure(LEVEL_INFO, LOG_TEXT);
    log_message(LEVEL_INFO, "hello");
    log_configure(LEVEL_INFO, LOG_JSON);
    log_message(LEVEL_INFO, "hello");
    assert_string_equal(written(), "<6>level=info msg=hello\n"
                                   "<6>{\"level\":\"info\",\"msg\":\"hello\"}\n");
}

static void another_journal_stream_is_not_ours(void **state)
{
    (void)state;
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_configure(LEVEL_INFO, LOG_TEXT);
    log_message(LEVEL_INFO, "hello");
    assert_non_null(strstr(written(), "<6>time="));
}

static void untrusted_text_is_quoted_and_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value, *expected;
    } values[] = {
        {"plain-1.2:3/4", "plain-1.2:3/4"},
        {"", "\"\""},
        {"a b", "\"a b\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nlevel=error\r\t", "\"line\\nlevel=error\\r\\t\""},
        {"\x1b[31mred\x7f", "\"\\u001b[31mred\\u007f\""},
        {"\xc2\x9b", "\"\\u009b\""}, /* CSI as one character */
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92"},
        {"\xff", "\"\\xff\""},
        {"\xc3", "\"\\xc3\""},                            /* cut off */
        {"\xc0\xaf", "\"\\xc0\\xaf\""},                   /* overlong */
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},          /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""}, /* past U+10FFFF */
        {"\xf8\x88\x80\x80\x80", "\"\\xf8\\x88\\x80\\x80\\x80\""},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char expected[128];
        struct log_line line;
        captured.len = 0;
        log_begin(&line, LEVEL_INFO, "m");
        log_text(&line, "value", values[i].value);
        log_end(&line);
        snprintf(expected, sizeof(expected), "level=info msg=m value=%s\n", values[i].expected);
        assert_string_equal(after_time(), expected);
    }
}

static void json_is_one_object_a_line(void **state)
{
    (void)state;
    log_configure(LEVEL_INFO, LOG_JSON);
    struct log_line line;
    log_begin(&line, LEVEL_INFO, "say \"hi\"");
    log_text(&line, "bytes", "\xff\x01\n");
    log_number(&line, "sent", 12);
    log_seconds(&line, "duration", 7);
    log_bool(&line, "resumed", true);
    log_end(&line);
    assert_memory_equal(written(), "<6>{\"time\":\"20", 14);
    assert_string_equal(
        strstr(written(), "\"level\""),
        "\"level\":\"info\",\"msg\":\"say \\\"hi\\\"\",\"bytes\":\"\\ufffd\\u0001\\n\","
        "\"sent\":12,\"duration\":0.007,\"resumed\":\"yes\"}\n");
}

static void levels_that_are_off_cost_no_line(void **state)
{
    (void)state;
    log_configure(LEVEL_WARNING, LOG_TEXT);
    struct log_line line;
    log_begin(&line, LEVEL_INFO, "hidden");
    log_text(&line, "key", "value");
    log_end(&line);
    log_message(LEVEL_DEBUG, "hidden");
    assert_false(log_wants(LEVEL_INFO));
    assert_true(log_wants(LEVEL_ERROR));
    assert_string_equal(written(), "");
}

/* ---- long lines ---- */

static char *repeated(const char *text, size_t times)
{
    char *all = malloc(strlen(text) * times + 1);
    assert_non_null(all);
    all[0] = '\0';
    char *end = all;
    for (size_t i = 0; i < times; i++) {
        end = stpcpy(end, text);
    }
    return all;
}

static void a_long_line_is_cut_between_two_characters_and_says_so(void **state)
{
    (void)state;
    static const char *const parts[] = {"x", " ", "\n", "\xff", "\xc3\xbc ", "\xf0\x9f\x94\x92"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
            captured.len = 0;
            log_configure(LEVEL_INFO, (enum log_format)format);
            char *value = repeated(parts[i], 3000);
            struct log_line line;
            log_begin(&line, LEVEL_INFO, "m");
            log_text(&line, "value", value);
            log_text(&line, "later", "left out");
            log_number(&line, "number", 1);
            log_end(&line);
            free(value);

            const char *text = written();
            const char *end = format == LOG_JSON ? "\",\"cut\":\"yes\"}\n" : " cut=yes\n";
            assert_true(strlen(text) > LOG_LINE_MAX - 32 && strlen(text) < LOG_LINE_MAX + 64);
            assert_string_equal(text + strlen(text) - strlen(end), end);
            assert_null(strstr(text, "later"));
            assert_null(strstr(text, "number"));
        }
    }
}

/* One length after the other, so that the line's room ends within every part of it: a quote once
 * let a line pass its end. */
static void a_field_that_finds_no_room_is_left_out_whole(void **state)
{
    (void)state;
    for (size_t len = LOG_LINE_MAX - 100; len < LOG_LINE_MAX; len++) {
        for (int is_quoted = 0; is_quoted < 2; is_quoted++) {
            captured.len = 0;
            char *value = repeated("x", len);
            value[0] = is_quoted ? ' ' : 'x';
            struct log_line line;
            log_begin(&line, LEVEL_INFO, "m");
            log_text(&line, "value", value);
            log_number(&line, "number", 123456789);
            log_text(&line, "last", "a b c");
            log_end(&line);
            free(value);
            const char *text = written();
            assert_true(line.len <= LOG_LINE_MAX);
            assert_int_equal(text[strlen(text) - 1], '\n');
            assert_true(strstr(text, "number=") == NULL ||
                        strstr(text, " number=123456789") != NULL);
            assert_true(strstr(text, "cut=yes") != NULL ||
                        strstr(text, "last=\"a b c\"\n") != NULL);
        }
    }
}

/* ---- the thread ---- */

static void *send_lines(void *ctx)
{
    for (unsigned i = 0; i < LINES; i++) {
        struct log_line line;
        log_begin(&line, LEVEL_INFO, "from a thread");
        log_number(&line, "thread", *(unsigned *)ctx);
        log_number(&line, "number", i);
        log_end(&line);
    }
    return NULL;
}

static void every_thread_s_lines_come_out_once_and_in_order(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned ids[THREADS];
    uint64_t dropped = log_dropped();
    fcntl(captured.reader, F_SETPIPE_SZ, 1 << 20);
    assert_int_equal(log_start(), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_lines, &ids[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_stop(5000);
    assert_int_equal(log_dropped(), dropped);

    const char *at = written();
    assert_int_equal(count(at, "\n"), THREADS * LINES);
    unsigned next[THREADS] = {0};
    while ((at = strstr(at, "thread=")) != NULL) {
        unsigned thread, number;
        assert_int_equal(sscanf(at, "thread=%u number=%u", &thread, &number), 2);
        assert_int_equal(number, next[thread]++);
        at++;
    }
}

static void a_reader_that_does_not_read_costs_lines_and_no_time(void **state)
{
    (void)state;
    fcntl(captured.reader, F_SETPIPE_SZ, 4096);
    assert_int_equal(log_start(), 0);
    uint64_t dropped = log_dropped();
    uint64_t start = clock_ms();
    for (unsigned i = 0; i < TORRENT; i++) {
        log_message(LEVEL_INFO, "line %u", i);
    }
    assert_true(clock_ms() - start < 2000);
    uint64_t lost = log_dropped() - dropped;
    assert_true(lost >= TORRENT / 2 - 4096 / 50 && lost < TORRENT);

    /* Now somebody reads, and is told. */
    char expected[64];
    snprintf(expected, sizeof(expected), "\"log lines were dropped\" count=%llu ",
             (unsigned long long)lost);
    size_t kept = TORRENT - lost;
    for (unsigned i = 0; i < 5000 && count(written(), "\n") < kept + 1; i++) {
        usleep(1000);
    }
    assert_non_null(strstr(written(), expected));
    assert_int_equal(count(written(), "\"line "), kept);
}

/* In a process of its own, for the thread stays stuck. */
static void stopping_gives_up_on_a_reader_that_never_reads(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        fcntl(captured.reader, F_SETPIPE_SZ, 4096);
        bool is_good = log_start() == 0;
        for (unsigned i = 0; i < 1000; i++) {
            log_message(LEVEL_INFO, "line %u", i);
        }
        uint64_t start = clock_ms(), dropped = log_dropped();
        log_stop(50);
        log_message(LEVEL_ERROR, "nobody may block on this");
        uint64_t took = clock_ms() - start;
        is_good = is_good && took >= 50 && took < 2000 && log_dropped() == dropped + 1;
        is_good = is_good && log_start() < 0;
        _exit(is_good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_full_disk_costs_lines_and_is_told_later(void **state)
{
    (void)state;
    int kept = dup(STDERR_FILENO);
    int full = open("/dev/full", O_WRONLY);
    if (full < 0) {
        close(kept);
        skip();
    }
    uint64_t dropped = log_dropped();
    dup2(full, STDERR_FILENO);
    close(full);
    assert_int_equal(log_start(), 0);
    log_message(LEVEL_INFO, "lost");
    for (unsigned i = 0; i < 5000 && log_dropped() == dropped; i++) {
        usleep(1000);
    }
    assert_int_equal(log_dropped(), dropped + 1);
    dup2(kept, STDERR_FILENO);
    close(kept);
    log_message(LEVEL_INFO, "found");
    log_stop(5000);
    assert_non_null(strstr(written(), "msg=found"));
    assert_non_null(strstr(written(), "\"log lines were dropped\" count=1 "));
}

/* ---- the rest ---- */

static void errno_is_kept(void **state)
{
    (void)state;
    for (int with_thread = 0; with_thread < 2; with_thread++) {
        errno = EDOM;
        log_configure(LEVEL_INFO, LOG_TEXT);
        assert_int_equal(errno, EDOM);
        if (with_thread) {
            log_start();
        }
        close(STDERR_FILENO);
        log_message(LEVEL_ERROR, "cannot be written");
        log_stop(5000);
        assert_int_equal(errno, EDOM);
        dup2(captured.real_stderr, STDERR_FILENO);
    }
}

static void what_is_due_is_due_once_an_interval(void **state)
{
    (void)state;
    uint64_t last = 0;
    assert_true(log_due(&last, 60000));
    assert_false(log_due(&last, 60000));
    last -= 60000;
    assert_true(log_due(&last, 60000));
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, capture, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAPTURED(a_line_has_time_level_message_and_fields_in_order),
        CAPTURED(the_head_is_priority_and_utc_with_milliseconds),
        CAPTURED(the_journal_stamps_lines_itself),
        CAPTURED(another_journal_stream_is_not_ours),
        CAPTURED(untrusted_text_is_quoted_and_escaped),
        CAPTURED(json_is_one_object_a_line),
        CAPTURED(levels_that_are_off_cost_no_line),
        CAPTURED(a_long_line_is_cut_between_two_characters_and_says_so),
        CAPTURED(a_field_that_finds_no_room_is_left_out_whole),
        CAPTURED(every_thread_s_lines_come_out_once_and_in_order),
        CAPTURED(a_reader_that_does_not_read_costs_lines_and_no_time),
        CAPTURED(stopping_gives_up_on_a_reader_that_never_reads),
        CAPTURED(a_full_disk_costs_lines_and_is_told_later),
        CAPTURED(errno_is_kept),
        cmocka_unit_test(what_is_due_is_due_once_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
