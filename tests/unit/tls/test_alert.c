#include "tls/alert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct alert_context presented = {.asked = true,
                                               .has_one = true,
                                               .sent = true,
                                               .matched = true};
static const struct alert_context unfit = {.asked = true, .has_one = true, .matched = true};
static const struct alert_context withheld = {.asked = true};
static const struct alert_context not_asked = {0};
static const struct alert_context accepted = {.asked = true,
                                              .has_one = true,
                                              .sent = true,
                                              .confirmed = true};

static void test_alerts_tell_who_refused_what(void **state)
{
    static const struct {
        int alert;
        const struct alert_context *context;
        enum reason reason;
    } cases[] = {
        /* RFC 8446 section 6.2, by number; what servers send was measured. */
        {116, &withheld, REASON_client_cert_required},
        {116, &unfit, REASON_client_cert_unsupported},
        {40, &unfit, REASON_client_cert_unsupported},
        {40, &withheld, REASON_client_cert_required},
        {50, &withheld, REASON_client_cert_required},
        {50, &presented, REASON_tls_protocol},
        {40, &presented, REASON_client_cert_denied},
        {40, &not_asked, REASON_tls_no_common_cipher},
        {48, &presented, REASON_client_cert_untrusted},
        {42, &presented, REASON_client_cert_untrusted},
        {43, &presented, REASON_client_cert_unsupported},
        {44, &presented, REASON_client_cert_revoked},
        {45, &presented, REASON_client_cert_expired},
        {46, &presented, REASON_client_cert_denied},
        {49, &presented, REASON_client_cert_denied},
        {49, &withheld, REASON_client_cert_required},
        {48, &not_asked, REASON_tls_alert},
        {48, &accepted, REASON_tls_alert},
        {70, &not_asked, REASON_tls_version},
        {71, &presented, REASON_tls_no_common_cipher},
        {112, &not_asked, REASON_sni_unrecognized},
        {10, &presented, REASON_tls_protocol},
        {51, &presented, REASON_tls_protocol},
        {80, &presented, REASON_tls_alert},
        {255, &presented, REASON_tls_alert},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure failure;
        alert_explain((gnutls_alert_description_t)cases[i].alert, cases[i].context, &failure);
        if (failure.reason != cases[i].reason) {
            fail_msg("case %zu, alert %d: %s", i, cases[i].alert, reason_word(failure.reason));
        }
        assert_true(failure.by_peer);
    }
}

static void test_mismatched_issuer_is_evidence(void **state)
{
    static const struct alert_context foreign = {.asked = true, .has_one = true, .sent = true};
    struct failure failure;
    (void)state;
    alert_explain(GNUTLS_A_UNKNOWN_CA, &foreign, &failure);
    assert_non_null(strstr(failure.detail, "no issuer of our certificate is among"));
    alert_explain(GNUTLS_A_UNKNOWN_CA, &presented, &failure);
    assert_null(strstr(failure.detail, "issuer"));
}

static void test_own_errors_are_not_blamed_on_the_peer(void **state)
{
    static const struct {
        int error;
        enum reason reason;
        enum side side;
    } cases[] = {
        {GNUTLS_E_UNSUPPORTED_VERSION_PACKET, REASON_tls_version, SIDE_WE_REFUSED},
        {GNUTLS_E_UNKNOWN_CIPHER_SUITE, REASON_tls_no_common_cipher, SIDE_WE_REFUSED},
        {GNUTLS_E_KEY_USAGE_VIOLATION, REASON_cert_purpose, SIDE_WE_REFUSED},
        {GNUTLS_E_PK_SIGN_FAILED, REASON_own_key_unusable, SIDE_CONFIG},
        {GNUTLS_E_MEMORY_ERROR, REASON_internal, SIDE_CONFIG},
        {GNUTLS_E_DECRYPTION_FAILED, REASON_tls_protocol, SIDE_WE_REFUSED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure failure;
        alert_explain_error(cases[i].error, &failure);
        assert_int_equal(failure.reason, cases[i].reason);
        assert_int_equal(reason_side(failure.reason, failure.by_peer), cases[i].side);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alerts_tell_who_refused_what),
        cmocka_unit_test(test_mismatched_issuer_is_evidence),
        cmocka_unit_test(test_own_errors_are_not_blamed_on_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
