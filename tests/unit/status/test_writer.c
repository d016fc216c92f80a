#include "tests/unit/status/fixture.h"

static const char *escape_amp(unsigned char c)
{
    return c == '&' ? "&amp;" : NULL;
}

static void expect(struct writer *writer, const char *wanted)
{
    size_t len;
    char *text = writer_take(writer, &len);
    assert_non_null(text);
    assert_string_equal(text, wanted);
    assert_int_equal(len, strlen(wanted));
    free(text);
    assert_null(writer->text);
}

static void test_nothing_is_an_empty_text(void **state)
{
    struct writer writer = {0};
    (void)state;
    expect(&writer, "");
}

static void test_pieces_follow_each_other(void **state)
{
    struct writer writer = {0};
    (void)state;
    writer_add(&writer, "a");
    writer_add_bytes(&writer, "bcd", 2);
    writer_number(&writer, 0);
    writer_number(&writer, UINT64_MAX);
    writer_format(&writer, "-%d-", 7);
    expect(&writer, "abc018446744073709551615-7-");
}

static void test_it_grows(void **state)
{
    struct writer writer = {0};
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        writer_add(&writer, "0123456789");
    }
    size_t len;
    char *text = writer_take(&writer, &len);
    assert_int_equal(len, 1000000);
    assert_int_equal(strlen(text), len);
    free(text);
}

static void test_what_is_untrusted_becomes_utf8(void **state)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"a&b&", "a&amp;b&amp;"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xff", "\xef\xbf\xbd"},
        {"a\xc3", "a\xef\xbf\xbd"},
        {"\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
        {"\xf0\x9f\x94\x92&", "\xf0\x9f\x94\x92&amp;"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct writer writer = {0};
        writer_untrusted(&writer, cases[i].text, escape_amp);
        expect(&writer, cases[i].wanted);
    }
}

static void test_without_an_escape_ascii_stays(void **state)
{
    struct writer writer = {0};
    (void)state;
    writer_untrusted(&writer, "a&\"\n\\", NULL);
    expect(&writer, "a&\"\n\\");
}

static void test_one_that_is_broken_tells_at_the_end(void **state)
{
    struct writer writer = {0};
    size_t len;
    (void)state;
    writer_add(&writer, "before");
    writer.is_broken = true;
    writer_add(&writer, "after");
    assert_null(writer_take(&writer, &len));
    assert_null(writer.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_an_empty_text),
        cmocka_unit_test(test_pieces_follow_each_other),
        cmocka_unit_test(test_it_grows),
        cmocka_unit_test(test_what_is_untrusted_becomes_utf8),
        cmocka_unit_test(test_without_an_escape_ascii_stays),
        cmocka_unit_test(test_one_that_is_broken_tells_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
