#include "control/spots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char home[4096];

static int enter(void **state)
{
    char name[] = "/tmp/mtls-agent-spots-XXXXXX";
    (void)state;
    if (mkdtemp(name) == NULL || realpath(name, home) == NULL) {
        return -1;
    }
    return chdir(home);
}

static int leave(void **state)
{
    char command[sizeof(home) + 16];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", home);
    return chdir("/") == 0 ? system(command) : -1;
}

static void touch(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

/* True when the way to `path` leads over `name` in `folder`, which is one below the test's own. */
static bool leads_over(const char *path, const char *folder, const char *name)
{
    char full[sizeof(home) + 64];
    struct spots spots = {0};
    snprintf(full, sizeof(full), "%s%s%s", home, folder[0] != '\0' ? "/" : "", folder);
    assert_int_equal(spots_add(&spots, path), 0);
    spots_sort(&spots);
    bool leads = spots_have(&spots, full, name);
    spots_release(&spots);
    return leads;
}

static void a_file_is_a_name_in_its_folder(void **state)
{
    char path[sizeof(home) + 64];
    (void)state;
    assert_int_equal(mkdir("plain", 0700), 0);
    touch("plain/file");
    snprintf(path, sizeof(path), "%s//plain/./../plain/file", home);
    assert_true(leads_over(path, "plain", "file"));
    assert_true(leads_over(path, "", "plain"));
    assert_true(leads_over("plain/file", "plain", "file"));
    assert_false(leads_over("plain/file", "plain", "other"));
}

static void each_link_is_a_spot(void **state)
{
    (void)state;
    assert_int_equal(mkdir("secret", 0700), 0);
    assert_int_equal(mkdir("secret/..2026_1", 0700), 0);
    touch("secret/..2026_1/tls.crt");
    assert_int_equal(symlink("..2026_1", "secret/..data"), 0);
    assert_int_equal(symlink("..data/tls.crt", "secret/tls.crt"), 0);
    assert_int_equal(symlink("../secret/tls.crt", "plain/elsewhere"), 0);
    assert_true(leads_over("plain/elsewhere", "plain", "elsewhere"));
    assert_true(leads_over("plain/elsewhere", "secret", "tls.crt"));
    assert_true(leads_over("plain/elsewhere", "secret", "..data"));
    assert_true(leads_over("plain/elsewhere", "secret/..2026_1", "tls.crt"));
}

static void what_is_missing_is_awaited_where_the_way_ends(void **state)
{
    (void)state;
    assert_true(leads_over("plain/not/there/file", "plain", "not"));
    assert_true(leads_over("gone/file", "", "gone"));
    assert_int_equal(symlink("nowhere/file", "dangling"), 0);
    assert_true(leads_over("dangling", "", "dangling"));
    assert_true(leads_over("dangling", "", "nowhere"));
}

static void a_loop_of_links_ends(void **state)
{
    (void)state;
    assert_int_equal(symlink("pong", "ping"), 0);
    assert_int_equal(symlink("ping", "pong"), 0);
    assert_true(leads_over("ping", "", "ping"));
    assert_true(leads_over("ping", "", "pong"));
}

static void a_path_beyond_all_limits_is_no_harm(void **state)
{
    static char path[20000];
    struct spots spots = {0};
    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    assert_int_equal(spots_add(&spots, path), 0);
    path[4000] = '\0';
    assert_int_equal(spots_add(&spots, path), 0);
    assert_int_equal(spots_add(&spots, "/"), 0);
    assert_int_equal(spots.n, 0);
    spots_sort(&spots);
    assert_false(spots_have(&spots, "/", "tmp"));
    spots_release(&spots);
}

static void each_spot_is_kept_once_and_in_order(void **state)
{
    struct spots spots = {0};
    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/%s/%u", i % 2 ? "nonexistent" : "tmp", i % 100);
        assert_int_equal(spots_add(&spots, path), 0);
    }
    spots_sort(&spots);
    assert_in_range(spots.n, 3, 53);
    for (size_t i = 1; i < spots.n; i++) {
        assert_true(strcmp(spots.spots[i - 1].folder, spots.spots[i].folder) <= 0);
    }
    assert_true(spots_have(&spots, "/", "nonexistent"));
    assert_true(spots_have(&spots, "/", "tmp"));
    spots_release(&spots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_a_name_in_its_folder),
        cmocka_unit_test(each_link_is_a_spot),
        cmocka_unit_test(what_is_missing_is_awaited_where_the_way_ends),
        cmocka_unit_test(a_loop_of_links_ends),
        cmocka_unit_test(a_path_beyond_all_limits_is_no_harm),
        cmocka_unit_test(each_spot_is_kept_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
