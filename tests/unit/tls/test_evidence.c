#include "tls/evidence.h"
#include "tls/pin.h"

#include "tests/unit/tls/pair.h"

static uint8_t plain[4 * TLS_RECORD_MAX];

static struct evidence take(const struct pair *pair)
{
    struct evidence evidence;
    evidence_init(&evidence);
    evidence_take(&evidence, pair->client);
    return evidence;
}

static void check_leaf(const struct evidence *evidence)
{
    assert_int_equal(evidence->n_chain, 1);
    assert_string_equal(evidence->chain[0].subject, "CN=server");
    assert_string_equal(evidence->chain[0].issuer, "CN=CA");
    assert_string_equal(evidence->chain[0].names, "dns:api.example.com");
}

static void test_a_good_link(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    tls_observe(pair->client);
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    struct evidence evidence = take(pair);
    check_leaf(&evidence);

    uint8_t sha256[PIN_BYTES];
    char pin[PIN_TEXT_MAX];
    assert_int_equal(pin_of(pair->server_cert.crt, sha256), 0);
    assert_string_equal(evidence.pin, pin_format(sha256, pin));
    assert_true(evidence.asked && evidence.sent && evidence.issuer_matched);
    assert_string_equal(evidence.accepted, "CN=CA");
    assert_int_equal(evidence.alert, -1);
    evidence_release(&evidence);
    pair_free(pair);
}

static void test_a_backend_that_we_refuse(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){.host = "other.example.com"});
    tls_observe(pair->client);
    assert_int_equal(pair_handshake(pair, NULL), TLS_FAILED);
    struct evidence evidence = take(pair);
    check_leaf(&evidence);
    assert_true(evidence.asked && !evidence.sent);
    assert_int_equal(evidence.alert, -1);
    evidence_release(&evidence);
    pair_free(pair);
}

static void test_a_backend_that_refuses_us(void **state)
{
    (void)state;
    enum tls_status status;
    struct pair *pair = pair_new((struct pair_spec){.no_identity = true});
    tls_observe(pair->client);
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    gnutls_alert_send(pair->server, GNUTLS_AL_FATAL, GNUTLS_A_CERTIFICATE_REQUIRED);
    pair_read(pair, plain, sizeof(plain), &status);
    assert_int_equal(status, TLS_FAILED);
    struct evidence evidence = take(pair);
    check_leaf(&evidence);
    assert_true(evidence.asked && !evidence.sent && !evidence.issuer_matched);
    assert_int_equal(evidence.alert, 116);
    evidence_release(&evidence);
    pair_free(pair);
}

static void test_a_link_that_is_not_mutual(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){.not_asked = true});
    tls_observe(pair->client);
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    struct evidence evidence = take(pair);
    assert_false(evidence.asked || evidence.sent);
    assert_null(evidence.accepted);
    evidence_release(&evidence);
    pair_free(pair);
}

/* Taking it twice leaks nothing, and keeps what was there. */
static void test_evidence_grows(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    tls_observe(pair->client);
    struct evidence evidence = take(pair);
    assert_int_equal(evidence.n_chain, 0);
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    evidence_take(&evidence, pair->client);
    evidence_take(&evidence, pair->client);
    check_leaf(&evidence);
    evidence_release(&evidence);
    pair_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_link),
        cmocka_unit_test(test_a_backend_that_we_refuse),
        cmocka_unit_test(test_a_backend_that_refuses_us),
        cmocka_unit_test(test_a_link_that_is_not_mutual),
        cmocka_unit_test(test_evidence_grows),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
