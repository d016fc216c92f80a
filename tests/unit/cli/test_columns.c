#include "cli/columns.h"

#include "tests/unit/cli/fixture.h"

static int prepare(void **state)
{
    (void)state;
    columns_prepare();
    return 0;
}

static void characters_have_widths(void **state)
{
    (void)state;
    assert_int_equal(columns_of(""), 0);
    assert_int_equal(columns_of("orders"), 6);
    assert_int_equal(columns_of("Örders"), 6);
    assert_int_equal(columns_of("中文"), 4);
    assert_int_equal(columns_of("e\u0301"), 1); /* a combining accent */
    assert_int_equal(columns_of("\xff\xfe"
                                "a"),
                     3);                         /* no UTF-8 */
    assert_int_equal(columns_of("\xe4\xb8"), 1); /* cut off */
}

static void only_whole_characters_fit(void **state)
{
    (void)state;
    assert_int_equal(columns_fit("orders", 0), 0);
    assert_int_equal(columns_fit("orders", 3), 3);
    assert_int_equal(columns_fit("orders", 9), 6);
    assert_int_equal(columns_fit("ÖÖ", 1), 2);
    assert_int_equal(columns_fit("中文", 3), 3);
}

static void expect_cut(void (*cut)(char *, size_t), const char *text, size_t columns,
                       const char *expected)
{
    char *copy = malloc(strlen(text) + 1 + COLUMNS_CUT_MORE); /* watched by sanitizers */
    assert_non_null(copy);
    memcpy(copy, text, strlen(text) + 1);
    cut(copy, columns);
    assert_string_equal(copy, expected);
    assert_true(columns_of(copy) <= columns);
    free(copy);
}

static void texts_are_cut_at_their_end(void **state)
{
    (void)state;
    expect_cut(columns_cut_end, "orders", 6, "orders");
    expect_cut(columns_cut_end, "orders", 5, "orde…");
    expect_cut(columns_cut_end, "orders", 1, "…");
    expect_cut(columns_cut_end, "orders", 0, "");
    expect_cut(columns_cut_end, "中文字", 4, "中…");
    expect_cut(columns_cut_end, "", 0, "");
}

static void texts_are_cut_in_their_middle(void **state)
{
    (void)state;
    expect_cut(columns_cut_middle, "api.example.com:443", 19, "api.example.com:443");
    expect_cut(columns_cut_middle, "api.example.com:443", 11, "api.e…m:443");
    expect_cut(columns_cut_middle, "api.example.com:443 +1", 10, "api.e…3 +1");
    expect_cut(columns_cut_middle, "ab", 1, "…");
    expect_cut(columns_cut_middle, "ab", 0, "");
    expect_cut(columns_cut_middle, "中文字中文字", 8, "中文…字");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_widths),
        cmocka_unit_test(only_whole_characters_fit),
        cmocka_unit_test(texts_are_cut_at_their_end),
        cmocka_unit_test(texts_are_cut_in_their_middle),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
