#include "cli/words.h"

#include "tests/unit/cli/fixture.h"

static void ages_have_one_unit(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {0.9, "0s"},
        {59.9, "59s"},
        {60, "1m"},
        {3599, "59m"},
        {3600, "1h"},
        {86399, "23h"},
        {86400, "1d"},
        {-5, "0s"},
        {86400.0 * 400, "400d"},
        {1e300, "11574074074d"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[WORDS_MAX];
        assert_string_equal(words_age(cases[i].seconds, text), cases[i].text);
    }
}

static void counts_are_short(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = {
        {0, "0"},
        {99999, "99999"},
        {100000, "100k"},
        {999999, "999k"},
        {1000000, "1.0M"},
        {12345678, "12.3M"},
        {123456789, "123M"},
        {-7, "-7"},
        {INT64_MAX, "9223P"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[WORDS_MAX];
        assert_string_equal(words_count(cases[i].n, text), cases[i].text);
    }
}

static void bytes_have_units(void **state)
{
    (void)state;
    char text[WORDS_MAX];
    assert_string_equal(words_bytes(0, text), "0 bytes");
    assert_string_equal(words_bytes(1, text), "1 byte");
    assert_string_equal(words_bytes(999, text), "999 bytes");
    assert_string_equal(words_bytes(1000, text), "1.0 kB");
    assert_string_equal(words_bytes(12345678, text), "12.3 MB");
    assert_string_equal(words_bytes(999999999999, text), "999 GB");
}

static void days_have_a_date(void **state)
{
    (void)state;
    char text[WORDS_MAX];
    assert_string_equal(words_days(5, "2026-11-26T08:00:00Z", text),
                        "5 days left, until 2026-11-26");
    assert_string_equal(words_days(1, "2026-11-22T08:00:00Z", text),
                        "1 day left, until 2026-11-22");
    assert_string_equal(words_days(-1, "2026-11-21T08:00:00Z", text), "expired on 2026-11-21");
    assert_string_equal(words_days(0, NULL, text), "0 days left, until ?");
    assert_string_equal(words_days(INT64_MAX, "no date, and much longer than any", text),
                        "9223372036854775807 days left, until no date, and much lo");
}

static void times_are_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "2026", "2026-11-21T12:00:00", "2026-11-21T12:00:00Zz",
                                      "2026-13-21T12:00:00Z"};
    char text[WORDS_MAX];
    assert_int_equal(words_time("2026-11-21T12:00:00Z"), 1795262400);
    assert_int_equal(words_time("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(words_time(NULL), -1);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(words_time(bad[i]), -1);
    }
    assert_string_equal(words_ago("2026-11-21T12:00:00Z", 1795262400 + 300, text), "5m ago");
    assert_string_equal(words_ago("2026-11-21T12:00:00Z", 1795262400 - 300, text), "0s ago");
    assert_string_equal(words_ago(NULL, 1795262400, text), "at an unknown time");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ages_have_one_unit), cmocka_unit_test(counts_are_short),
        cmocka_unit_test(bytes_have_units),   cmocka_unit_test(days_have_a_date),
        cmocka_unit_test(times_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
