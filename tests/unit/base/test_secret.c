#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct secret make(const char *text)
{
    return (struct secret){.bytes = strdup(text), .len = strlen(text)};
}

static void one_newline_is_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *chomped;
    } cases[] = {{"pw", "pw"},     {"pw\n", "pw"}, {"pw\r\n", "pw"}, {"pw\n\n", "pw\n"},
                 {"pw\r", "pw\r"}, {"", ""},       {"\n", ""},       {" pw \n", " pw "}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct secret secret = make(cases[i].text);
        secret_chomp(&secret);
        assert_string_equal(secret.bytes, cases[i].chomped);
        assert_int_equal(secret.len, strlen(cases[i].chomped));
        secret_release(&secret);
        assert_null(secret.bytes);
    }
}

static void an_empty_secret_may_be_released(void **state)
{
    (void)state;
    struct secret secret = {0};
    secret_release(&secret);
    assert_null(secret.bytes);
}

static void a_missing_file_leaves_the_output_alone(void **state)
{
    (void)state;
    struct secret secret = {0};
    const char *why;
    assert_int_equal(secret_read("/nonexistent/password", 100, &secret, &why), -1);
    assert_string_equal(why, "not found");
    assert_null(secret.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_newline_is_dropped),
        cmocka_unit_test(an_empty_secret_may_be_released),
        cmocka_unit_test(a_missing_file_leaves_the_output_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
