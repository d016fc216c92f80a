/* Time is made to pass by hand: what was seen is moved into the past. */
#include "control/lookout.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define N 2

static char home[] = "/tmp/mtls-agent-lookout-XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(home) != NULL ? chdir(home) : -1;
}

static int leave(void **state)
{
    char command[sizeof(home) + 16];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", home);
    return chdir("/") == 0 ? system(command) : -1;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* "cert" and "key", as they are now. */
static struct lookout *lookout_of_two(void)
{
    struct filewatch_file files[N] = {{.path = "cert"}, {.path = "key"}};
    write_file("cert", "old");
    write_file("key", "old");
    for (size_t i = 0; i < N; i++) {
        print_take(files[i].path, &files[i].print);
    }
    struct lookout *lookout = lookout_new(files, N);
    assert_non_null(lookout);
    return lookout;
}

/* Looks anew, `ms` after everything that was seen so far. */
static bool look_after(struct lookout *lookout, uint64_t ms, uint64_t *ret_again_ms)
{
    for (size_t i = 0; i < N; i++) {
        lookout->files[i].since_ms -= ms < lookout->files[i].since_ms ? ms : 0;
    }
    assert_int_equal(lookout_look(lookout), 0);
    return lookout_judge(lookout, ret_again_ms);
}

static void nothing_new_is_nothing_to_tell(void **state)
{
    uint64_t again_ms;
    (void)state;
    struct lookout *lookout = lookout_of_two();
    assert_false(look_after(lookout, 0, &again_ms));
    assert_int_equal(again_ms, UINT64_MAX);
    write_file("cert.new", "old");
    assert_int_equal(rename("cert.new", "cert"), 0);
    assert_false(look_after(lookout, 60000, &again_ms));
    assert_int_equal(again_ms, UINT64_MAX);
    assert_null(lookout_free(lookout));
    assert_null(lookout_free(NULL));
}

static void a_content_has_to_stay(void **state)
{
    uint64_t again_ms;
    (void)state;
    struct lookout *lookout = lookout_of_two();
    write_file("cert", "half");
    assert_false(look_after(lookout, 60000, &again_ms));
    assert_in_range(again_ms, 1, 1000);
    assert_false(look_after(lookout, 900, &again_ms));
    write_file("cert", "whole");
    assert_false(look_after(lookout, 900, &again_ms));
    assert_true(look_after(lookout, 1010, &again_ms));
    assert_int_equal(again_ms, UINT64_MAX);
    lookout_free(lookout);
}

static void it_is_told_once_for_each_content(void **state)
{
    uint64_t again_ms;
    (void)state;
    struct lookout *lookout = lookout_of_two();
    write_file("cert", "bad");
    assert_false(look_after(lookout, 0, &again_ms));
    assert_true(look_after(lookout, 1010, &again_ms));
    assert_false(look_after(lookout, 1010, &again_ms));
    write_file("cert", "good");
    assert_false(look_after(lookout, 0, &again_ms));
    assert_true(look_after(lookout, 1010, &again_ms));
    lookout_free(lookout);
}

static void what_came_back_is_no_change(void **state)
{
    uint64_t again_ms;
    (void)state;
    struct lookout *lookout = lookout_of_two();
    assert_int_equal(unlink("key"), 0);
    assert_false(look_after(lookout, 0, &again_ms));
    assert_false(look_after(lookout, 4900, &again_ms));
    write_file("key", "old");
    assert_false(look_after(lookout, 4900, &again_ms));
    assert_int_equal(again_ms, UINT64_MAX);
    assert_int_equal(unlink("key"), 0);
    assert_false(look_after(lookout, 0, &again_ms));
    assert_true(look_after(lookout, 5010, &again_ms));
    lookout_free(lookout);
}

static void an_open_writer_is_waited_for_but_not_for_ever(void **state)
{
    uint64_t again_ms;
    (void)state;
    struct lookout *lookout = lookout_of_two();
    int fd = open("cert", O_WRONLY | O_TRUNC);
    assert_true(fd >= 0 && write(fd, "half", 4) == 4);
    assert_false(look_after(lookout, 0, &again_ms));
    if (!lookout->files[0].has_writer) { /* the file system cannot tell */
        close(fd);
        lookout_free(lookout);
        skip();
    }
    assert_false(look_after(lookout, 20000, &again_ms));
    assert_in_range(again_ms, 1, 1000);
    assert_true(look_after(lookout, 10010, &again_ms));
    close(fd);

    write_file("cert", "next");
    assert_false(look_after(lookout, 0, &again_ms));
    assert_true(look_after(lookout, 1010, &again_ms));
    lookout_free(lookout);
}

static void a_pair_is_told_together(void **state)
{
    uint64_t again_ms;
    (void)state;
    struct lookout *lookout = lookout_of_two();
    write_file("cert", "new");
    assert_false(look_after(lookout, 0, &again_ms));
    write_file("key", "new");
    assert_false(look_after(lookout, 1010, &again_ms)); /* the certificate would be ready */
    assert_true(look_after(lookout, 1010, &again_ms));
    assert_false(look_after(lookout, 60000, &again_ms));

    write_file("cert", "newer");
    assert_false(look_after(lookout, 0, &again_ms));
    write_file("key", "never done");
    assert_false(look_after(lookout, 1010, &again_ms));
    write_file("key", "really not");
    assert_true(look_after(lookout, 2010, &again_ms)); /* the certificate has waited enough */
    assert_true(look_after(lookout, 1010, &again_ms));
    lookout_free(lookout);
}

static void the_folders_are_those_of_the_spots(void **state)
{
    uint64_t again_ms;
    (void)state;
    struct lookout *lookout = lookout_of_two();
    look_after(lookout, 0, &again_ms);
    assert_true(spots_have(&lookout->spots, home, "cert"));
    assert_true(spots_have(&lookout->spots, home, "key"));
    assert_int_equal(lookout->n_places, 3); /* the root, /tmp and home */
    for (size_t i = 0; i < lookout->n_places; i++) {
        struct stat status;
        assert_int_equal(stat(lookout->places[i].path, &status), 0);
        assert_true(lookout->places[i].inode == status.st_ino);
    }
    lookout_free(lookout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_new_is_nothing_to_tell),
        cmocka_unit_test(a_content_has_to_stay),
        cmocka_unit_test(it_is_told_once_for_each_content),
        cmocka_unit_test(what_came_back_is_no_change),
        cmocka_unit_test(an_open_writer_is_waited_for_but_not_for_ever),
        cmocka_unit_test(a_pair_is_told_together),
        cmocka_unit_test(the_folders_are_those_of_the_spots),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
