#include "config/read.h"

#include <sys/stat.h>

#include "tests/unit/config/fixture.h"

static void includes_are_read_in_order(void **state)
{
    (void)state;
    assert_int_equal(mkdir("conf.d", 0700), 0);
    fixture_write("conf",
                  "[agent]\ninclude = conf.d/*.conf\n[defaults]\nca = /ca\ntls_mode = tls\n");
    fixture_write("conf.d/b.conf", "[service b]\nlisten = 127.0.0.1:1\n" FIXTURE_ADDRESS);
    fixture_write("conf.d/a.conf", "[service a]\nlisten = 127.0.0.1:2\n" FIXTURE_ADDRESS);
    fixture_write("conf.d/c.conf~", "junk");
    struct fixture fixture = fixture_load("conf");
    assert_string_equal(fixture.said, "");
    assert_int_equal(fixture.config->n_files, 3);
    assert_string_equal(fixture.config->files[1], "conf.d/a.conf");
    assert_string_equal(fixture.config->services[0].name, "a");
    assert_string_equal(fixture.config->services[1].name, "b");
    fixture_release(&fixture);
}

static void a_pattern_may_match_nothing(void **state)
{
    (void)state;
    fixture_says("[agent]\ninclude = conf.d/*.conf, gone/*/x\n" FIXTURE_SERVICE, "");
    fixture_says("[agent]\ninclude = gone.conf\n" FIXTURE_SERVICE,
                 "conf:2: include = \"gone.conf\": there is no such file; check the name\n");
}

static void paths_are_relative_to_their_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(mkdir("sub/[x]", 0700), 0);
    fixture_write("conf", "[agent]\ninclude = sub/a.conf\n");
    fixture_write("sub/a.conf", "[agent]\ninclude = [[]x]/b.conf\n");
    fixture_write("sub/[x]/b.conf", "[agent]\ninclude = c*.conf\n");
    fixture_write("sub/[x]/c.conf",
                  "[service a]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_TLS "ca = ca.crt\n");
    struct fixture fixture = fixture_load("conf");
    assert_string_equal(fixture.said, "");
    assert_string_equal(fixture.config->files[3], "sub/[x]/c.conf");
    char cwd[128], path[256];
    snprintf(path, sizeof(path), "%s/sub/[x]/ca.crt", getcwd(cwd, sizeof(cwd)));
    assert_string_equal(fixture.config->services[0].ca.path, path);
    fixture_release(&fixture);
}

static void a_loop_is_refused(void **state)
{
    (void)state;
    fixture_says("[agent]\ninclude = conf\n" FIXTURE_SERVICE,
                 "conf:2: the include loops: it leads back to conf, which is being read; take that "
                 "out\n");
    fixture_write("a.conf", "[agent]\ninclude = b.conf\n" FIXTURE_SERVICE);
    fixture_write("b.conf", "[agent]\ninclude = link.conf\n");
    assert_int_equal(symlink("a.conf", "link.conf"), 0);
    fixture_says_of("a.conf", "b.conf:2: the include loops: it leads back to link.conf, which is "
                              "a.conf; take that out\n");
}

static void a_file_is_included_once(void **state)
{
    (void)state;
    fixture_write("a.conf", FIXTURE_SERVICE);
    assert_int_equal(link("a.conf", "b.conf"), 0);
    fixture_says("[agent]\ninclude = a.conf\ninclude = *.conf\n",
                 "conf:3: a.conf is included twice; take one out, first included at conf:2 as "
                 "a.conf\n"
                 "conf:3: b.conf is included twice; take one out, first included at conf:2 as "
                 "a.conf\n");
}

static void keys_clash_across_files(void **state)
{
    (void)state;
    fixture_write("a.conf", "[agent]\nworkers = 2\n[defaults]\n" FIXTURE_SERVICE);
    fixture_says("[agent]\ninclude = a.conf\nworkers = 1\n[defaults]\n",
                 "a.conf:2: workers is set twice; remove one, first set at conf:3\n"
                 "a.conf:3: there is a second [defaults]; join it with the one at conf:4\n");
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    char name[32], text[64];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "%d.conf", i);
        snprintf(text, sizeof(text), "[agent]\ninclude = %d.conf\n", i + 1);
        fixture_write(name, text);
    }
    fixture_says_of("0.conf", "15.conf:2: includes are nested deeper than 16; flatten them\n");
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir("d.conf", 0700), 0);
    assert_int_equal(mkfifo("fifo.conf", 0600), 0);
    fixture_says_of("gone.conf", "gone.conf: cannot read this file: not found; check its name and "
                                 "permissions\n");
    fixture_says_of("d.conf", "d.conf: cannot read this file: a directory, not a file; check its "
                              "name and permissions\n");
    fixture_says_of("fifo.conf", "fifo.conf: cannot read this file: not a regular file; check its "
                                 "name and permissions\n");
    fixture_says("[agent]\ninclude = *.conf\n" FIXTURE_SERVICE,
                 "conf:2: d.conf is a directory; write d.conf/*.conf\n"
                 "conf:2: cannot read fifo.conf: not a regular file; check its name and "
                 "permissions\n");
}

static void an_unreadable_file_is_refused(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        skip();
    }
    fixture_write("conf", FIXTURE_SERVICE);
    assert_int_equal(chmod("conf", 0), 0);
    fixture_says_of("conf", "conf: cannot read this file: not permitted; check its name and "
                            "permissions\n");
}

static void no_more_than_fifty_errors_are_told(void **state)
{
    (void)state;
    FILE *file = fopen("conf", "w");
    assert_non_null(file);
    fputs("[agent]\n", file);
    for (int i = 0; i < 60; i++) {
        fputs("junk\n", file);
    }
    fclose(file);
    struct fixture fixture = fixture_load("conf");
    assert_int_equal(problems_errors(fixture.problems), 60);
    assert_non_null(strstr(fixture.said, "conf:51: "));
    assert_null(strstr(fixture.said, "conf:52: "));
    assert_non_null(strstr(fixture.said, "\nand 10 more errors\n"));
    fixture_release(&fixture);
}

static void a_file_of_junk_is_refused_fast(void **state)
{
    (void)state;
    static char bytes[1 << 20];
    memset(bytes, '\n', sizeof(bytes));
    memset(bytes, 'x', 1000);
    bytes[5000] = '\0';
    fixture_write_bytes("conf", bytes, sizeof(bytes));
    struct fixture fixture = fixture_load("conf");
    assert_int_equal(problems_errors(fixture.problems), 2);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(includes_are_read_in_order),
        fixture_test(a_pattern_may_match_nothing),
        fixture_test(paths_are_relative_to_their_file),
        fixture_test(a_loop_is_refused),
        fixture_test(a_file_is_included_once),
        fixture_test(keys_clash_across_files),
        fixture_test(nesting_has_a_limit),
        fixture_test(what_is_no_file_is_refused),
        fixture_test(an_unreadable_file_is_refused),
        fixture_test(no_more_than_fifty_errors_are_told),
        fixture_test(a_file_of_junk_is_refused_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
