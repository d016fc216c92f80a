#include "probe/judge.h"

#include "tests/unit/probe/fixture.h"

/* Judges the fixture's service as it stands, and frees what came of it. */
struct judged {
    struct fixture fixture;
    struct report_service service;
};

static void set_up(struct judged *judged)
{
    fixture_set_up(&judged->fixture);
    judged->service = judged->fixture.service;
    judged->service.verdict = (struct failure){0};
    judged->service.advice = NULL;
    judged->service.warnings = NULL;
    judged->service.n_warnings = 0;
    for (size_t i = 0; i < 2; i++) {
        judged->fixture.own[i].is_for_clients = true;
    }
}

static void release(struct judged *judged)
{
    for (size_t i = 0; i < judged->service.n_warnings; i++) {
        free(judged->service.warnings[i]);
    }
    free(judged->service.warnings);
}

static bool warns_of(const struct judged *judged, const char *part)
{
    for (size_t i = 0; i < judged->service.n_warnings; i++) {
        if (strstr(judged->service.warnings[i], part) != NULL) {
            return true;
        }
    }
    return false;
}

static void expect(struct judged *judged, enum reason reason, const char *part)
{
    judge_service(&judged->service, NOW);
    assert_string_equal(reason_word(judged->service.verdict.reason), reason_word(reason));
    assert_non_null(judged->service.advice);
    assert_non_null(strstr(judged->service.verdict.detail, part));
}

static void a_good_link(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    expect(&judged, REASON_ok, "");
    assert_int_equal(judged.service.n_warnings, 0);
    release(&judged);
}

static void no_address(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.service.n_endpoints = 0;
    judged.fixture.host.failure = constant("no such name");
    expect(&judged, REASON_dns_failed, "api.example.com: no such name");
    release(&judged);
}

static void one_of_two_addresses_is_enough(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    fixture_endpoint(&judged.fixture, &judged.fixture.endpoints[1]);
    judged.service.n_endpoints = 2;
    failure_set(&judged.fixture.endpoints[0].failure, REASON_connect_refused, "refused");
    judged.fixture.endpoints[0].is_established = false;
    expect(&judged, REASON_ok, "");
    assert_true(warns_of(&judged, "1 of 2 addresses does not work"));
    release(&judged);
}

/* The agent begins with the first address, and moves on only until a session is established. */
static void an_address_that_refuses_late_decides(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    fixture_endpoint(&judged.fixture, &judged.fixture.endpoints[1]);
    judged.service.n_endpoints = 2;
    failure_set_by_peer(&judged.fixture.endpoints[0].failure, REASON_client_cert_untrusted,
                        "alert 48");
    expect(&judged, REASON_client_cert_untrusted, "alert 48");
    release(&judged);

    set_up(&judged);
    fixture_endpoint(&judged.fixture, &judged.fixture.endpoints[1]);
    judged.service.n_endpoints = 2;
    failure_set_by_peer(&judged.fixture.endpoints[1].failure, REASON_client_cert_untrusted,
                        "alert 48");
    expect(&judged, REASON_ok, "");
    assert_true(warns_of(&judged, "1 of 2 addresses does not work"));
    release(&judged);
}

/* The one that came furthest says most. */
static void where_none_works_the_furthest_decides(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    fixture_endpoint(&judged.fixture, &judged.fixture.endpoints[1]);
    judged.service.n_endpoints = 2;
    failure_set(&judged.fixture.endpoints[0].failure, REASON_connect_refused, "refused");
    judged.fixture.endpoints[0].connect_us = 0;
    judged.fixture.endpoints[0].is_established = false;
    failure_set(&judged.fixture.endpoints[1].failure, REASON_cert_expired, "expired");
    judged.fixture.endpoints[1].is_established = false;
    expect(&judged, REASON_cert_expired, "expired");
    release(&judged);
}

static void nginx_without_a_certificate(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.service.n_own = 0;
    judged.service.http.status = 400;
    judged.service.http.complaint = COMPLAINT_NO_CERTIFICATE;
    expect(&judged, REASON_client_cert_required, "tls_mode = tls");
    assert_true(judged.service.verdict.by_peer);
    release(&judged);
}

static void nginx_with_a_certificate_it_does_not_like(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.service.http.status = 400;
    judged.service.http.complaint = COMPLAINT_BAD_CERTIFICATE;
    expect(&judged, REASON_client_cert_untrusted, "The SSL certificate error");
    release(&judged);

    set_up(&judged);
    judged.service.http.status = 400;
    judged.service.http.complaint = COMPLAINT_BAD_CERTIFICATE;
    judged.fixture.own[0].not_after = NOW - 3 * DAY;
    expect(&judged, REASON_client_cert_expired, "ours expired 3 days ago");
    release(&judged);
}

/* A page of the operator's instead of nginx's own. */
static void a_refusal_in_other_words(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.service.http.status = 403;
    judged.fixture.endpoints[0].evidence.issuer_matched = false;
    judged.fixture.endpoints[0].evidence.accepted = constant("CN=A");
    expect(&judged, REASON_client_cert_untrusted,
           "it answers HTTP 403; it accepts certificates issued by CN=A; ours is issued by");
    assert_false(judged.fixture.endpoints[0].is_confirmed);
    release(&judged);

    set_up(&judged);
    judged.service.http.status = 403; /* of the application, for all that is known */
    expect(&judged, REASON_ok, "");
    assert_true(judged.fixture.endpoints[0].is_confirmed);
    release(&judged);
}

static void half_an_answer_is_no_answer(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.service.http.is_whole = false;
    judged.service.http.failure = constant("the answer did not come to its end");
    expect(&judged, REASON_upstream_reset, "did not come to its end");
    release(&judged);
}

static void our_certificate_that_nobody_looked_at(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.fixture.own[0].not_after = NOW - DAY;
    expect(&judged, REASON_own_cert_expired, "expired 1 day ago");
    release(&judged);

    set_up(&judged);
    judged.fixture.own[0].not_before = NOW + 4000 * DAY;
    judged.fixture.own[0].not_after = NOW + 5000 * DAY;
    expect(&judged, REASON_own_cert_not_yet_valid, "clock");
    release(&judged);

    set_up(&judged);
    judged.fixture.own[0].is_for_clients = false;
    expect(&judged, REASON_ok, "");
    assert_true(warns_of(&judged, "clientAuth"));
    release(&judged);
}

static void a_link_that_is_not_mutual(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.fixture.endpoints[0].evidence.asked = false;
    expect(&judged, REASON_ok, "");
    assert_true(warns_of(&judged, "not mutual"));
    release(&judged);
}

static void an_issuer_that_the_backend_does_not_name(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.fixture.endpoints[0].evidence.issuer_matched = false;
    judged.fixture.endpoints[0].evidence.accepted = constant("CN=A or CN=B");
    expect(&judged, REASON_ok, "");
    assert_true(warns_of(&judged, "it accepts certificates issued by CN=A or CN=B; ours is"));
    release(&judged);
}

static void a_refusal_that_comes_with_the_request(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    failure_set_by_peer(&judged.fixture.endpoints[0].failure, REASON_client_cert_denied,
                        "the backend sent alert 49");
    judged.service.http.status = 0;
    judged.service.http.is_whole = false;
    judged.service.http.failure = constant("the connection ended before an answer");
    expect(&judged, REASON_client_cert_denied, "alert 49");
    release(&judged);
}

static void what_could_not_be_found_out(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    failure_set(&judged.service.verdict, REASON_internal, "out of memory");
    expect(&judged, REASON_internal, "out of memory");
    release(&judged);
}

/* A bundle may hold the CA that came before. */
static void the_ca_that_is_good_for_longest_counts(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.fixture.cas[1] = judged.fixture.cas[0];
    judged.fixture.cas[0].not_after = NOW - 40 * DAY;
    judged.service.n_cas = 2;
    expect(&judged, REASON_ok, "");
    assert_int_equal(judged.service.n_warnings, 0);
    release(&judged);

    set_up(&judged);
    judged.fixture.cas[0].not_after = NOW + 12 * DAY;
    expect(&judged, REASON_ok, "");
    assert_true(warns_of(&judged, "the CA CN=Orders Root CA expires in 12 days, on 2026-12-03"));
    release(&judged);
}

static void no_answer_to_the_request(void **state)
{
    (void)state;
    struct judged judged;
    set_up(&judged);
    judged.service.http.status = 0;
    judged.service.http.is_whole = false;
    judged.service.http.failure = constant("no answer within 10000 ms");
    judged.service.http.timed_out = true;
    expect(&judged, REASON_idle_timeout, "HTTP to ");
    release(&judged);

    set_up(&judged);
    judged.service.http.status = 0;
    judged.service.http.is_whole = false;
    judged.service.http.failure = constant("connection refused");
    judged.service.http.via_agent = judged.service.http.is_no_agent = true;
    expect(&judged, REASON_connect_refused, "is the agent running?");
    release(&judged);

    set_up(&judged);
    judged.service.http.status = 0;
    judged.service.http.is_whole = false;
    judged.service.http.failure = constant("what came back is not HTTP");
    judged.service.http.is_other_protocol = true;
    expect(&judged, REASON_ok, "");
    assert_true(warns_of(&judged, "--no-http"));
    release(&judged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_link),
        cmocka_unit_test(no_address),
        cmocka_unit_test(one_of_two_addresses_is_enough),
        cmocka_unit_test(an_address_that_refuses_late_decides),
        cmocka_unit_test(where_none_works_the_furthest_decides),
        cmocka_unit_test(nginx_without_a_certificate),
        cmocka_unit_test(nginx_with_a_certificate_it_does_not_like),
        cmocka_unit_test(a_refusal_in_other_words),
        cmocka_unit_test(half_an_answer_is_no_answer),
        cmocka_unit_test(our_certificate_that_nobody_looked_at),
        cmocka_unit_test(a_link_that_is_not_mutual),
        cmocka_unit_test(an_issuer_that_the_backend_does_not_name),
        cmocka_unit_test(a_refusal_that_comes_with_the_request),
        cmocka_unit_test(what_could_not_be_found_out),
        cmocka_unit_test(the_ca_that_is_good_for_longest_counts),
        cmocka_unit_test(no_answer_to_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
