#include "config/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *nearest(const char *wanted)
{
    static const char *const known[] = {"listen", "address", "sni",         "ca",
                                        "pin",    "alpn",    "idle_timeout"};
    struct suggest suggest = suggest_begin(wanted);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        suggest_offer(&suggest, known[i]);
    }
    return suggest.nearest;
}

static void a_near_word_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("lisen"), "listen");
    assert_string_equal(nearest("lsiten"), "listen");
    assert_string_equal(nearest("Listen"), "listen");
    assert_string_equal(nearest("adress"), "address");
    assert_string_equal(nearest("idle-timeout"), "idle_timeout");
    assert_string_equal(nearest("SNI"), "sni");
    assert_string_equal(nearest("cas"), "ca");
}

static void a_far_word_is_not(void **state)
{
    (void)state;
    assert_null(nearest("verify"));
    assert_null(nearest(""));
    assert_null(nearest("xyz"));
    assert_null(nearest("completely_other_word"));
}

static void a_long_word_is_refused(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_null(nearest(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_near_word_is_found),
        cmocka_unit_test(a_far_word_is_not),
        cmocka_unit_test(a_long_word_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
