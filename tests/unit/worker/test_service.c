/* The places of a service: a refused caller holds none, not even for a moment. */
#include "worker/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_places_are_given_out_up_to_the_limit(void **state)
{
    (void)state;
    struct service service = {.max_connections = 2};
    assert_true(service_enter(&service));
    assert_true(service_enter(&service));
    assert_false(service_enter(&service));
    service_leave(&service);
    assert_true(service_enter(&service));
}

static void test_a_refused_caller_takes_no_place(void **state)
{
    (void)state;
    struct service service = {.max_connections = 1};
    assert_true(service_enter(&service));
    for (int i = 0; i < 5; i++) {
        assert_false(service_enter(&service));
    }
    service_leave(&service);
    assert_true(service_enter(&service));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_given_out_up_to_the_limit),
        cmocka_unit_test(test_a_refused_caller_takes_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
