#include "control/filewatch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

/* Longer than anything takes that works, and shorter than the slow look: what passes was told by
 * the kernel. */
#define HANG_MS 15000

static struct {
    char home[32];
    uv_loop_t loop;
    uv_timer_t hang;
    uv_timer_t writer; /* what the test does meanwhile */
    unsigned step;
    struct filewatch *filewatch;
    const char *path, *expected; /* what it has to hold whenever we are told */
    unsigned calls;
    int fd;
} fixture;

/* ---- files ---- */

static void append(const char *path, int flags, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void rewrite(const char *path, const char *text)
{
    append(path, O_TRUNC, text);
}

static void replace(const char *path, const char *text)
{
    rewrite("temporary", text);
    assert_int_equal(rename("temporary", path), 0);
}

static void link_anew(const char *target, const char *path)
{
    assert_int_equal(symlink(target, "temporary"), 0);
    assert_int_equal(rename("temporary", path), 0);
}

static bool holds(const char *path, const char *expected)
{
    char text[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    return len >= 0 && strcmp(text, expected) == 0;
}

/* ---- the loop ---- */

static void on_changed(void *ctx)
{
    (void)ctx;
    fixture.calls++;
    if (fixture.path != NULL && !holds(fixture.path, fixture.expected)) {
        fail_msg("told of %s before it was \"%s\"", fixture.path, fixture.expected);
    }
}

static void on_hang(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("waited in vain, after %u calls", fixture.calls);
}

static void wait_for_calls(unsigned n)
{
    uv_timer_start(&fixture.hang, on_hang, HANG_MS, 0);
    while (fixture.calls < n) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&fixture.hang);
    assert_int_equal(fixture.calls, n);
}

/* From now on calls step() every `ms`. */
static void act(uv_timer_cb step, uint64_t ms)
{
    fixture.step = 0;
    uv_timer_start(&fixture.writer, step, ms, ms);
}

/* Tells the watch of files as they are now. */
static void set(const char *const *paths, size_t n)
{
    struct filewatch_file *files = calloc(n + 1, sizeof(*files));
    assert_non_null(files);
    for (size_t i = 0; i < n; i++) {
        files[i].path = paths[i];
        print_take(paths[i], &files[i].print);
    }
    assert_int_equal(filewatch_set(fixture.filewatch, files, n), 0);
    free(files);
}

static void watch(const char *path)
{
    set(&path, 1);
}

/* What is to be told of has just been done, or is being done. */
static void expect_one_call(const char *path, const char *expected)
{
    fixture.path = path;
    fixture.expected = expected;
    wait_for_calls(fixture.calls + 1);
    fixture.path = NULL;
    uv_timer_stop(&fixture.writer);
}

/* The slow look is all that is planned. */
static void see_rest(uv_handle_t *handle, void *ctx)
{
    bool is_ours =
        handle == (uv_handle_t *)&fixture.hang || handle == (uv_handle_t *)&fixture.writer;
    if (handle->type == UV_TIMER && !is_ours && uv_is_active(handle) &&
        uv_timer_get_due_in((uv_timer_t *)handle) > HANG_MS) {
        *(bool *)ctx = true;
    }
}

/* Lets everything be looked at, until nothing but an event can tell of a change. */
static void rest(void)
{
    bool is_at_rest = false;
    uv_timer_start(&fixture.hang, on_hang, HANG_MS, 0);
    while (!is_at_rest) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
        uv_walk(&fixture.loop, see_rest, &is_at_rest);
    }
    uv_timer_stop(&fixture.hang);
}

static void settle(const char *path)
{
    watch(path);
    rest();
}

static int begin(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    snprintf(fixture.home, sizeof(fixture.home), "/tmp/mtls-agent-watch-XXXXXX");
    if (mkdtemp(fixture.home) == NULL || chdir(fixture.home) < 0) {
        return -1;
    }
    uv_loop_init(&fixture.loop);
    uv_timer_init(&fixture.loop, &fixture.hang);
    uv_timer_init(&fixture.loop, &fixture.writer);
    fixture.filewatch = filewatch_start(&fixture.loop, on_changed, NULL);
    return fixture.filewatch != NULL ? 0 : -1;
}

static int end(void **state)
{
    char command[64];
    (void)state;
    fixture.filewatch = filewatch_stop(fixture.filewatch);
    uv_close((uv_handle_t *)&fixture.hang, NULL);
    uv_close((uv_handle_t *)&fixture.writer, NULL);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&fixture.loop) != 0) {
        return -1;
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", fixture.home);
    return chdir("/") == 0 ? system(command) : -1;
}

/* ---- how files change ---- */

static void replaced_by_rename(void **state)
{
    (void)state;
    rewrite("file", "old");
    settle("file");
    replace("file", "new");
    expect_one_call("file", "new");
}

static void write_piece(uv_timer_t *timer)
{
    static const char *const pieces[] = {"one ", "two ", "three ", "four"};
    if (fixture.step < 4) {
        append("file", fixture.step == 0 ? O_TRUNC : O_APPEND, pieces[fixture.step]);
        fixture.step++;
    } else {
        uv_timer_stop(timer);
    }
}

static void rewritten_in_place_in_pieces(void **state)
{
    (void)state;
    rewrite("file", "old");
    settle("file");
    act(write_piece, 700);
    expect_one_call("file", "one two three four");
}

static void write_the_rest(uv_timer_t *timer)
{
    assert_int_equal(write(fixture.fd, "ready", 5), 5);
    close(fixture.fd);
    uv_timer_stop(timer);
}

static void held_open_by_its_writer(void **state)
{
    (void)state;
    rewrite("file", "old");
    settle("file");
    fixture.fd = open("file", O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fixture.fd, "al", 2), 2);
    act(write_the_rest, 2500);
    expect_one_call("file", "already");
}

static void led_elsewhere_by_its_link(void **state)
{
    (void)state;
    assert_int_equal(mkdir("live", 0700), 0);
    assert_int_equal(mkdir("archive", 0700), 0);
    rewrite("archive/cert1.pem", "old");
    rewrite("archive/cert2.pem", "new");
    assert_int_equal(symlink("../archive/cert1.pem", "live/cert.pem"), 0);
    settle("live/cert.pem");
    link_anew("../archive/cert2.pem", "live/cert.pem");
    expect_one_call("live/cert.pem", "new");

    /* What the link leads to now is watched as well. */
    settle("live/cert.pem");
    rewrite("archive/cert2.pem", "newer");
    expect_one_call("live/cert.pem", "newer");
}

static void swapped_as_kubernetes_does(void **state)
{
    static const char *const names[] = {"..1", "..2", "..3"};
    char path[64];
    (void)state;
    assert_int_equal(mkdir("secret", 0700), 0);
    assert_int_equal(mkdir("secret/..1", 0700), 0);
    rewrite("secret/..1/tls.crt", "..1");
    assert_int_equal(symlink("..1", "secret/..data"), 0);
    assert_int_equal(symlink("..data/tls.crt", "secret/tls.crt"), 0);
    settle("secret/tls.crt");
    for (unsigned i = 1; i < 3; i++) {
        snprintf(path, sizeof(path), "secret/%s", names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(path, sizeof(path), "secret/%s/tls.crt", names[i]);
        rewrite(path, names[i]);
        assert_int_equal(symlink(names[i], "secret/..data_tmp"), 0);
        assert_int_equal(rename("secret/..data_tmp", "secret/..data"), 0);
        snprintf(path, sizeof(path), "secret/%s/tls.crt", names[i - 1]);
        assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof(path), "secret/%s", names[i - 1]);
        assert_int_equal(rmdir(path), 0);
        expect_one_call("secret/tls.crt", names[i]);
        settle("secret/tls.crt");
    }
}

static void restore(uv_timer_t *timer)
{
    rewrite("file", "new");
    uv_timer_stop(timer);
}

static void removed_and_restored(void **state)
{
    (void)state;
    rewrite("file", "old");
    settle("file");
    assert_int_equal(unlink("file"), 0);
    act(restore, 1200);
    expect_one_call("file", "new");
}

static void removed_for_good(void **state)
{
    (void)state;
    rewrite("file", "old");
    settle("file");
    assert_int_equal(unlink("file"), 0);
    wait_for_calls(fixture.calls + 1);
    assert_int_equal(access("file", F_OK), -1);
}

static void not_there_at_first(void **state)
{
    (void)state;
    settle("not/there/yet");
    assert_int_equal(mkdir("not", 0700), 0);
    assert_int_equal(mkdir("not/there", 0700), 0);
    rewrite("not/there/yet", "now");
    expect_one_call("not/there/yet", "now");
}

static void folder_made_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        if (i == 0) {
            assert_int_equal(mkdir("folder", 0700), 0);
            rewrite("folder/file", "old");
            settle("folder/file");
        }
        assert_int_equal(unlink("folder/file"), 0);
        assert_int_equal(rmdir("folder"), 0);
        assert_int_equal(mkdir("folder", 0700), 0);
        rewrite("folder/file", i % 2 ? "odd" : "even");
        expect_one_call("folder/file", i % 2 ? "odd" : "even");
        settle("folder/file");
    }
    rewrite("folder/file", "last");
    expect_one_call("folder/file", "last");
}

static void folder_above_replaced(void **state)
{
    (void)state;
    assert_int_equal(mkdir("a", 0700), 0);
    assert_int_equal(mkdir("a/b", 0700), 0);
    assert_int_equal(mkdir("c", 0700), 0);
    assert_int_equal(mkdir("c/b", 0700), 0);
    rewrite("a/b/file", "old");
    rewrite("c/b/file", "new");
    settle("a/b/file");
    assert_int_equal(rename("a", "d"), 0);
    assert_int_equal(rename("c", "a"), 0);
    expect_one_call("a/b/file", "new");
}

static void write_the_key(uv_timer_t *timer)
{
    replace("key", "new");
    uv_timer_stop(timer);
}

static void a_pair_in_two_steps(void **state)
{
    static const char *const paths[] = {"cert", "key"};
    (void)state;
    rewrite("cert", "old");
    rewrite("key", "old");
    settle("cert");
    set(paths, 2);
    replace("cert", "new");
    act(write_the_key, 600);
    expect_one_call("key", "new");
}

/* ---- what is no change, and how often it is told ---- */

static void touched_or_written_as_it_was(void **state)
{
    (void)state;
    rewrite("file", "same");
    settle("file");
    replace("file", "same");
    rest();
    rewrite("file", "same");
    rest();
    assert_int_equal(utimensat(AT_FDCWD, "file", NULL, 0), 0);
    rest();
    assert_int_equal(fixture.calls, 0);
    rewrite("file", "new");
    expect_one_call("file", "new");
}

static void a_bad_content_is_told_once(void **state)
{
    (void)state;
    rewrite("file", "good");
    settle("file");
    rewrite("file", "bad");
    expect_one_call("file", "bad");
    settle("file"); /* the owner has tried it, and says so */
    assert_int_equal(fixture.calls, 1);
    rewrite("file", "better");
    expect_one_call("file", "better");
    rewrite("file", "best"); /* even before the owner has done anything */
    expect_one_call("file", "best");
}

static void changed_before_it_was_watched(void **state)
{
    struct filewatch_file file = {.path = "file"};
    (void)state;
    rewrite("file", "loaded");
    print_take("file", &file.print);
    rewrite("file", "changed since");
    assert_int_equal(filewatch_set(fixture.filewatch, &file, 1), 0);
    expect_one_call("file", "changed since");
}

/* ---- many, and the end ---- */

#define MANY 3000

static void thousands_of_files(void **state)
{
    static char names[MANY][32];
    static const char *paths[MANY];
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "f%u", i % 300);
        assert_true(mkdir(names[i], 0700) == 0 || i >= 300);
        snprintf(names[i], sizeof(names[i]), "f%u/%u", i % 300, i);
        rewrite(names[i], "old");
        paths[i] = names[i];
    }
    set(paths, MANY);
    for (unsigned i = 0; i < MANY; i += 100) {
        replace(names[i], "new");
    }
    expect_one_call(names[MANY - 100], "new");
    set(paths, MANY);
    rewrite(names[MANY - 1], "new");
    expect_one_call(names[MANY - 1], "new");
}

static void watched_files_change_at_any_time(void **state)
{
    (void)state;
    rewrite("one", "1");
    rewrite("two", "2");
    for (unsigned i = 0; i < 200; i++) {
        watch(i % 2 ? "one" : "two");
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
    }
    watch("one");
    rewrite("one", "one");
    expect_one_call("one", "one");
    set(NULL, 0);
    settle("two");
}

static void stopped_at_any_time(void **state)
{
    (void)state;
    rewrite("file", "old");
    for (unsigned turns = 0; turns < 20; turns++) {
        watch("file");
        rewrite("file", turns % 2 ? "odd" : "even");
        for (unsigned i = 0; i < turns; i++) {
            uv_run(&fixture.loop, UV_RUN_NOWAIT);
        }
        assert_null(filewatch_stop(fixture.filewatch));
        fixture.filewatch = filewatch_start(&fixture.loop, on_changed, NULL);
        assert_non_null(fixture.filewatch);
    }
    assert_null(filewatch_stop(NULL));
}

static void stop(void *ctx)
{
    struct filewatch **filewatch = ctx;
    fixture.calls++;
    *filewatch = filewatch_stop(*filewatch);
}

static void stopped_when_told(void **state)
{
    (void)state;
    filewatch_stop(fixture.filewatch);
    fixture.filewatch = filewatch_start(&fixture.loop, stop, &fixture.filewatch);
    rewrite("file", "old");
    watch("file");
    replace("file", "new");
    expect_one_call("file", "new");
    assert_null(fixture.filewatch);
}

#define test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(replaced_by_rename),         test(rewritten_in_place_in_pieces),
        test(held_open_by_its_writer),    test(led_elsewhere_by_its_link),
        test(swapped_as_kubernetes_does), test(removed_and_restored),
        test(removed_for_good),           test(not_there_at_first),
        test(folder_made_again),          test(folder_above_replaced),
        test(a_pair_in_two_steps),        test(touched_or_written_as_it_was),
        test(a_bad_content_is_told_once), test(changed_before_it_was_watched),
        test(thousands_of_files),         test(watched_files_change_at_any_time),
        test(stopped_at_any_time),        test(stopped_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
