#include "base/reason.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_reason_has_its_own_word_and_advice(void **state)
{
    (void)state;
    for (int i = 0; i < REASON_COUNT; i++) {
        const char *word = reason_word((enum reason)i);
        const char *advice = reason_advice((enum reason)i);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(word));
        assert_true(strlen(advice) > 0);
        assert_true(advice[strlen(advice) - 1] != '.');
        assert_false(isupper((unsigned char)word[0]));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(word, reason_word((enum reason)j));
        }
    }
}

static void sides_are_whose_fault_it_is(void **state)
{
    (void)state;
    assert_int_equal(reason_side(REASON_caller_reset, false), SIDE_LOCAL);
    assert_int_equal(reason_side(REASON_dns_failed, false), SIDE_NETWORK);
    assert_int_equal(reason_side(REASON_cert_expired, false), SIDE_WE_REFUSED);
    assert_int_equal(reason_side(REASON_client_cert_required, true), SIDE_THEY_REFUSED);
    assert_int_equal(reason_side(REASON_own_cert_expired, false), SIDE_CONFIG);
    assert_int_equal(reason_side(REASON_crl_unusable, false), SIDE_CONFIG);
    assert_string_equal(reason_word(REASON_cert_expired), "cert_expired");
    assert_string_equal(reason_side_word(SIDE_WE_REFUSED), "we_refused");
    assert_string_equal(reason_side_word(SIDE_THEY_REFUSED), "they_refused");
}

static void the_sender_of_an_alert_decides(void **state)
{
    (void)state;
    assert_int_equal(reason_side(REASON_tls_version, true), SIDE_THEY_REFUSED);
    assert_int_equal(reason_side(REASON_tls_version, false), SIDE_WE_REFUSED);
    for (int i = 0; i < REASON_COUNT; i++) {
        assert_int_not_equal(reason_side((enum reason)i, true), SIDE_BY_ALERT);
        assert_int_not_equal(reason_side((enum reason)i, false), SIDE_BY_ALERT);
        assert_non_null(reason_side_word(reason_side((enum reason)i, true)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_its_own_word_and_advice),
        cmocka_unit_test(sides_are_whose_fault_it_is),
        cmocka_unit_test(the_sender_of_an_alert_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
