#include "config/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void text_is_quoted_and_escaped(void **state)
{
    (void)state;
    char quoted[QUOTE_MAX];
    assert_string_equal(quote_text("", quoted), "\"\"");
    assert_string_equal(quote_text("a b", quoted), "\"a b\"");
    assert_string_equal(quote_text("a\"b\\", quoted), "\"a\\\"b\\\\\"");
    assert_null(strchr(quote_text("\x1b[31m", quoted), '\x1b'));
    assert_string_equal(quote_text("b\xc3\xbcro", quoted), "\"b\xc3\xbcro\"");
    assert_string_equal(quote_text("\xff", quoted), "\"\\xff\"");
}

static void long_text_is_cut(void **state)
{
    (void)state;
    char text[1000], quoted[QUOTE_MAX];
    for (size_t len = 0; len < sizeof(text); len++) {
        memset(text, len % 2 == 0 ? 'a' : '\x01', len);
        text[len] = '\0';
        size_t written = strlen(quote_text(text, quoted));
        assert_true(written < QUOTE_MAX);
        assert_int_equal(quoted[written - 1], '"');
    }
    assert_non_null(strstr(quoted, "...\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_quoted_and_escaped),
        cmocka_unit_test(long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
