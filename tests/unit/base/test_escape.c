#include "base/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void what_acts_on_a_terminal_is_blanked(void **state)
{
    static const struct {
        const char *text, *blanked;
    } cases[] = {
        {"", ""},
        {"CN=\"a\\,b\"", "CN=\"a\\,b\""},
        {"Z\xc3\xbcrich \xe4\xb8\xad", "Z\xc3\xbcrich \xe4\xb8\xad"},
        {"a\033[2Jb\nc\x7f", "a?[2Jb?c?"},
        {"a\xc2\x9b"
         "2Jb",
         "a??2Jb"}, /* CSI as one character of C1 */
        {"a\xe2\x80\xae"
         "b",
         "a???b"}, /* right-to-left override */
        {"a\xe2\x81\xa6"
         "b",
         "a???b"},               /* left-to-right isolate */
        {"a\xff\xc3", "a??"},    /* no UTF-8 */
        {"\xed\xa0\x80", "???"}, /* a surrogate */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[32];
        snprintf(text, sizeof(text), "%s", cases[i].text);
        escape_blank(text);
        assert_string_equal(text, cases[i].blanked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_acts_on_a_terminal_is_blanked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
