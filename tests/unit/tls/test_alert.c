#include "tls/alert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DAY ((time_t)24 * 60 * 60)
#define NOW ((time_t)1800000000)

#define LEAF                                                                                       \
    .subject = (char[]){"CN=gateway"}, .issuer = (char[]){"CN=C"}, .not_before = NOW - 90 * DAY

static const struct inspect_facts good = {LEAF, .not_after = NOW + DAY, .is_for_clients = true};
static const struct inspect_facts expired = {LEAF, .not_after = NOW - 3 * DAY,
                                             .is_for_clients = true};
static const struct inspect_facts early = {.subject = (char[]){"CN=gateway"},
                                           .issuer = (char[]){"CN=C"},
                                           .not_before = NOW + 2 * DAY,
                                           .not_after = NOW + 9 * DAY,
                                           .is_for_clients = true};
static const struct inspect_facts for_servers = {LEAF, .not_after = NOW + DAY};

#define OWN(facts)                                                                                 \
    {                                                                                              \
        .own = &(facts), .n_own = 1, .matched = true, .now = NOW                                   \
    }

static const struct alert_context presented = {.asked = true, .sent = true, .standing = OWN(good)};
static const struct alert_context unfit = {.asked = true, .standing = OWN(good)};
static const struct alert_context withheld = {.asked = true};
static const struct alert_context not_asked = {0};
static const struct alert_context accepted = {.asked = true,
                                              .sent = true,
                                              .confirmed = true,
                                              .standing = OWN(good)};
static const struct alert_context late = {.asked = true, .sent = true, .standing = OWN(expired)};
static const struct alert_context too_soon = {.asked = true, .sent = true, .standing = OWN(early)};
static const struct alert_context misfit = {.asked = true,
                                            .sent = true,
                                            .standing = OWN(for_servers)};
static const struct alert_context foreign = {
    .asked = true,
    .sent = true,
    .standing = {.own = &good, .n_own = 1, .accepted = "CN=A or CN=B", .now = NOW}};

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
        /* One alert for everything: the cause is plain from here. */
        {42, &late, REASON_client_cert_expired},
        {49, &late, REASON_client_cert_expired},
        {40, &late, REASON_client_cert_expired},
        {46, &misfit, REASON_client_cert_unsupported},
        {49, &foreign, REASON_client_cert_untrusted},
        {42, &too_soon, REASON_own_cert_not_yet_valid},
        {45, &too_soon, REASON_own_cert_not_yet_valid},
        /* An alert that names its cause is taken at its word. */
        {48, &late, REASON_client_cert_untrusted},
        {43, &foreign, REASON_client_cert_unsupported},
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

static const char *detail_of(int alert, const struct alert_context *context)
{
    static struct failure failure;
    alert_explain((gnutls_alert_description_t)alert, context, &failure);
    return failure.detail;
}

static void test_what_is_plain_from_here_is_evidence(void **state)
{
    (void)state;
    assert_string_equal(detail_of(48, &presented), "the backend sent alert 48 (CA is unknown)");
    assert_string_equal(detail_of(48, &foreign),
                        "the backend sent alert 48 (CA is unknown); it accepts certificates issued "
                        "by CN=A or CN=B; ours is issued by CN=C");
    assert_non_null(strstr(detail_of(42, &late), "; ours expired 3 days ago, on 2027-01-12T"));
    assert_non_null(strstr(detail_of(42, &too_soon), ", 2 days ahead"));
    assert_non_null(strstr(detail_of(43, &misfit), "; ours is not for TLS clients"));
    assert_non_null(strstr(detail_of(116, &withheld), "; no certificate was presented"));
    assert_null(strstr(detail_of(48, &accepted), "ours"));
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
        cmocka_unit_test(test_what_is_plain_from_here_is_evidence),
        cmocka_unit_test(test_own_errors_are_not_blamed_on_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
