#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_greatest_unit_is_told(void **state)
{
    (void)state;
    static const struct {
        time_t seconds;
        const char *text;
    } cases[] = {
        {0, "0 seconds"},      {1, "1 second"},    {59, "59 seconds"},  {60, "1 minute"},
        {3599, "59 minutes"},  {3600, "1 hour"},   {86399, "23 hours"}, {86400, "1 day"},
        {3 * 86400, "3 days"}, {-5, "-5 seconds"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[SPAN_TEXT_MAX];
        assert_string_equal(span_format(cases[i].seconds, text), cases[i].text);
    }
}

static void test_dates_are_utc(void **state)
{
    (void)state;
    char text[SPAN_TEXT_MAX];
    assert_string_equal(span_format_date(0, text), "1970-01-01T00:00:00Z");
    assert_string_equal(span_format_date(1795251000, text), "2026-11-21T08:50:00Z");
    assert_string_equal(span_format_date(INT64_MAX, text), "a date out of range");
    assert_string_equal(span_format_day(1795251000, text), "2026-11-21");
}

static void test_what_is_years_ahead_is_the_clock(void **state)
{
    (void)state;
    assert_false(span_suggests_clock(-5));
    assert_false(span_suggests_clock((time_t)365 * 86400));
    assert_true(span_suggests_clock((time_t)365 * 86400 + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_greatest_unit_is_told),
        cmocka_unit_test(test_dates_are_utc),
        cmocka_unit_test(test_what_is_years_ahead_is_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
