/* What the tests of this room share: a directory of their own in which they run, files in it, and a
 * configuration made of them with all that was noted. */
#pragma once

#include "base/problems.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The keys without which no service is good. */
#define FIXTURE_CA      "ca = /ca.crt\n"
#define FIXTURE_ADDRESS "address = api.example.com:443\n"
#define FIXTURE_LISTEN  "listen = 127.0.0.1:9001\n"
#define FIXTURE_TLS     "tls_mode = tls\n"
#define FIXTURE_SERVICE "[service a]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS

struct fixture {
    struct config *config;
    struct problems *problems;
    char *said; /* all lines, as they are printed */
};

static inline int fixture_enter(void **state)
{
    char *directory = strdup("/tmp/mtls-agent-XXXXXX");
    *state = directory;
    return directory != NULL && mkdtemp(directory) != NULL && chdir(directory) == 0 ? 0 : -1;
}

static inline int fixture_leave(void **state)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
    free(*state);
    return chdir("/") < 0 || system(command) != 0 ? -1 : 0;
}

#define fixture_test(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, fixture_enter, fixture_leave)

static inline void fixture_write_bytes(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void fixture_write(const char *name, const char *text)
{
    fixture_write_bytes(name, text, strlen(text));
}

/* Loads what is in a file. */
static inline struct fixture fixture_load(const char *name)
{
    struct fixture fixture = {.problems = problems_new()};
    size_t len;
    fixture.config = config_load(name, fixture.problems);
    assert_non_null(fixture.config);
    FILE *out = open_memstream(&fixture.said, &len);
    problems_print(fixture.problems, out, "", "");
    assert_int_equal(fclose(out), 0);
    return fixture;
}

static inline void fixture_release(struct fixture *fixture)
{
    config_free(fixture->config);
    problems_free(fixture->problems);
    free(fixture->said);
}

/* Loads a text and expects that nothing is wrong with it. */
static inline struct fixture fixture_good(const char *text)
{
    fixture_write("conf", text);
    struct fixture fixture = fixture_load("conf");
    assert_string_equal(fixture.said, "");
    assert_int_equal(problems_errors(fixture.problems), 0);
    return fixture;
}

/* Loads a file and expects exactly these lines. */
static inline void fixture_says_of(const char *name, const char *expected)
{
    struct fixture fixture = fixture_load(name);
    assert_string_equal(fixture.said, expected);
    fixture_release(&fixture);
}

/* The same of a text. */
static inline void fixture_says(const char *text, const char *expected)
{
    fixture_write("conf", text);
    fixture_says_of("conf", expected);
}
