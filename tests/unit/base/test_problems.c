#include "base/problems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What problems_print() prints, owned by the caller. */
static char *printed(const struct problems *problems)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    problems_print(problems, out, "", "");
    fclose(out);
    return text;
}

static void assert_printed(const struct problems *problems, const char *expected)
{
    char *text = printed(problems);
    assert_string_equal(text, expected);
    free(text);
}

static void lines_name_their_place(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    problems_error(problems, (struct place){"a.conf", 3}, "wrong %d; right it", 1);
    problems_warning(problems, (struct place){"a.conf", 4}, "odd");
    problems_error(problems, (struct place){"b.conf", 0}, "empty; fill it");
    problems_error(problems, (struct place){NULL, 0}, "nowhere");
    assert_int_equal(problems_errors(problems), 3);
    assert_printed(problems, "a.conf:3: wrong 1; right it\n"
                             "a.conf:4: warning: odd\n"
                             "b.conf: empty; fill it\n"
                             "nowhere\n");
    problems_free(problems);
}

static void lines_are_sorted_within_a_file(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    problems_error(problems, (struct place){"b", 9}, "nine");
    problems_error(problems, (struct place){"a", 5}, "five");
    problems_error(problems, (struct place){"b", 2}, "two");
    problems_warning(problems, (struct place){"b", 9}, "nine again");
    problems_error(problems, (struct place){"b", 0}, "zero");
    assert_printed(problems, "b: zero\nb:2: two\nb:9: nine\nb:9: warning: nine again\na:5: five\n");
    problems_free(problems);
}

static void the_same_is_noted_once(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    problems_error(problems, (struct place){"a", 1}, "wrong");
    problems_error(problems, (struct place){"a", 1}, "wrong");
    problems_error(problems, (struct place){"a", 2}, "wrong");
    problems_warning(problems, (struct place){"a", 1}, "wrong");
    assert_int_equal(problems_errors(problems), 2);
    assert_printed(problems, "a:1: wrong\na:1: warning: wrong\na:2: wrong\n");
    problems_free(problems);
}

static void beyond_the_limit_errors_are_counted(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    for (unsigned line = 1; line <= PROBLEMS_MAX + 2; line++) {
        problems_error(problems, (struct place){"a", line}, "wrong");
    }
    assert_int_equal(problems_errors(problems), PROBLEMS_MAX + 2);
    char *text = printed(problems);
    assert_non_null(strstr(text, "a:50: wrong\nand 2 more errors\n"));
    free(text);
    problems_free(problems);
}

static void control_characters_are_not_printed(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    problems_error(problems, (struct place){"a\nb", 1}, "wrong \x1b[31m");
    assert_printed(problems, "a?b:1: wrong ?[31m\n");
    problems_free(problems);
}

static void count(void *ctx, bool is_error, const char *text)
{
    int *counts = ctx;
    counts[is_error ? 1 : 0]++;
    assert_null(strchr(text, '\n'));
    assert_null(strstr(text, "warning"));
}

static void each_line_is_offered(void **state)
{
    (void)state;
    int counts[2] = {0};
    struct problems *problems = problems_new();
    problems_error(problems, (struct place){"a", 1}, "wrong");
    problems_warning(problems, (struct place){"a", 2}, "odd");
    problems_warning(problems, (struct place){"a", 3}, "odd");
    problems_each(problems, count, counts);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_null(problems_free(problems));
    assert_null(problems_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_name_their_place),
        cmocka_unit_test(lines_are_sorted_within_a_file),
        cmocka_unit_test(the_same_is_noted_once),
        cmocka_unit_test(beyond_the_limit_errors_are_counted),
        cmocka_unit_test(control_characters_are_not_printed),
        cmocka_unit_test(each_line_is_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
