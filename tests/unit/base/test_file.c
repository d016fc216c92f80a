#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A directory of its own for each test, in which the test runs. */
static char directory[32];

static int enter(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/mtls-agent-XXXXXX");
    return mkdtemp(directory) != NULL && chdir(directory) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    char *command = NULL;
    int result =
        chdir("/") < 0 || asprintf(&command, "rm -rf %s", directory) < 0 || system(command);
    free(command);
    return result;
}

static void write_file(const char *name, const char *bytes, size_t len)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_read_whole(void **state)
{
    (void)state;
    char *text;
    size_t len;
    const char *why;
    write_file("f", "ab\0cd", 5);
    assert_int_equal(file_read("f", 5, &text, &len, &why), 0);
    assert_int_equal(len, 5);
    assert_memory_equal(text, "ab\0cd", 6);
    free(text);
    write_file("f", "", 0);
    assert_int_equal(file_read("f", 5, &text, &len, &why), 0);
    assert_int_equal(len, 0);
    assert_string_equal(text, "");
    free(text);
}

static void a_file_without_a_size_is_read(void **state)
{
    (void)state;
    char *text;
    size_t len;
    const char *why;
    assert_int_equal(file_read("/proc/self/status", 1 << 16, &text, &len, &why), 0);
    assert_true(len > 0);
    assert_int_equal(text[len], '\0');
    free(text);
    assert_int_equal(file_read("/proc/self/status", 10, &text, &len, &why), -1);
    assert_non_null(strstr(why, "too large"));
}

static void assert_refused(const char *path, const char *expected)
{
    char *text = NULL;
    size_t len = 7;
    const char *why = NULL;
    assert_int_equal(file_read(path, 4, &text, &len, &why), -1);
    assert_non_null(strstr(why, expected));
    assert_null(text);
    assert_int_equal(len, 7);
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    (void)state;
    write_file("large", "12345", 5);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_refused("large", "too large");
    assert_refused("gone", "not found");
    assert_refused(".", "directory");
    assert_refused("fifo", "not a regular file");
    assert_refused("/dev/null", "not a regular file");
    assert_refused("loop", "symbolic links");
    assert_refused("large/x", "Not a directory");
}

static void an_unreadable_file_is_refused(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        skip();
    }
    write_file("f", "x", 1);
    assert_int_equal(chmod("f", 0), 0);
    assert_refused("f", "not permitted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_read_whole, enter, leave),
        cmocka_unit_test_setup_teardown(a_file_without_a_size_is_read, enter, leave),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused_at_once, enter, leave),
        cmocka_unit_test_setup_teardown(an_unreadable_file_is_refused, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
