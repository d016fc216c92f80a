/* What is told of a reload is what was noted, in its order, for as long as it is asked for. */
#include "control/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void faults_and_warnings_are_told_apart(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    struct problems *problems = problems_new();
    problems_error(problems, (struct place){"conf", 7}, "this is bad; mend it");
    problems_warning(problems, (struct place){"conf", 3}, "this is odd");
    problems_error(problems, (struct place){"other", 0}, "out of memory");
    outcome_note(&outcome, problems);
    problems_free(problems); /* the texts are the outcome's own */
    assert_int_equal(outcome.n_faults, 2);
    assert_string_equal(outcome.faults[0], "conf:7: this is bad; mend it");
    assert_string_equal(outcome.faults[1], "other: out of memory");
    assert_int_equal(outcome.n_warnings, 1);
    assert_string_equal(outcome.warnings[0], "conf:3: this is odd");
    outcome_release(&outcome);
}

static void nothing_noted_is_nothing_told(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    struct problems *problems = problems_new();
    outcome_note(&outcome, problems);
    problems_free(problems);
    assert_int_equal(outcome.n_faults, 0);
    assert_int_equal(outcome.n_warnings, 0);
    outcome_release(&outcome);
}

static void what_is_too_much_to_tell_is_counted(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    struct problems *problems = problems_new();
    for (unsigned i = 1; i <= PROBLEMS_MAX + 7; i++) {
        problems_error(problems, (struct place){"conf", i}, "bad");
    }
    outcome_note(&outcome, problems);
    problems_free(problems);
    assert_int_equal(outcome.n_faults, PROBLEMS_MAX + 1);
    assert_string_equal(outcome.faults[0], "conf:1: bad");
    assert_string_equal(outcome.faults[PROBLEMS_MAX], "and 7 more");
    outcome_release(&outcome);
}

static void it_can_be_released_and_used_again(void **state)
{
    (void)state;
    struct outcome outcome = {.is_refused = true, .when = 1, .generation = 2};
    struct problems *problems = problems_new();
    outcome_release(&outcome);
    assert_false(outcome.is_refused);
    assert_int_equal(outcome.when, 0);
    problems_warning(problems, (struct place){"conf", 3}, "this is odd");
    outcome_note(&outcome, problems);
    outcome_release(&outcome);
    outcome_release(&outcome);
    assert_int_equal(outcome.n_warnings, 0);
    problems_free(problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_and_warnings_are_told_apart),
        cmocka_unit_test(nothing_noted_is_nothing_told),
        cmocka_unit_test(what_is_too_much_to_tell_is_counted),
        cmocka_unit_test(it_can_be_released_and_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
