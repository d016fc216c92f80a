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

static void what_a_reader_must_not_see_is_named_by_its_number(void **state)
{
    static const struct {
        const char *text, *escaped;
    } cases[] = {
        {"\033", "\\u001b"},         {"\xc2\x9b", "\\u009b"},     {"\xe2\x80\xae", "\\u202e"},
        {"\xe2\x81\xa6", "\\u2066"}, {"\xe2\x80\x8e", "\\u200e"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char escaped[ESCAPE_MAX];
        assert_int_equal(escape_next(cases[i].text, ESCAPE_JSON, escaped), strlen(cases[i].text));
        assert_string_equal(escaped, cases[i].escaped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_acts_on_a_terminal_is_blanked),
        cmocka_unit_test(what_a_reader_must_not_see_is_named_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
