#include "probe/text.h"

#include "tests/unit/probe/fixture.h"

static void assert_said(FILE *out, char **text, const char *expected)
{
    assert_int_equal(fclose(out), 0);
    assert_string_equal(*text, expected);
    free(*text);
}

static void assert_printed(const struct fixture *fixture, const char *expected)
{
    char *text;
    FILE *out = fixture_open(&text);
    text_print(&fixture->service, NOW, false, out);
    assert_said(out, &text, expected);
}

/* Returns the line of what is printed that has `label`, from there on. */
static const char *line_of(const struct fixture *fixture, bool in_colour, const char *label)
{
    static char line[1024];
    char *text;
    FILE *out = fixture_open(&text);
    text_print(&fixture->service, NOW, in_colour, out);
    assert_int_equal(fclose(out), 0);
    const char *start = strstr(text, label);
    assert_non_null(start);
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(start, "\n"), start);
    free(text);
    return line;
}

static void a_good_link(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    assert_printed(
        &fixture,
        "order-service: ok\n"
        "    dns         api.example.com: 192.0.2.10; TTL 60 s\n"
        "    address     192.0.2.10:443: accepted our certificate; TLS 1.3, AES-256-GCM, X25519, "
        "ALPN h2; TCP 1.2 ms, handshake 25.1 ms\n"
        "    resumption  works\n"
        "    backend     CN=api.example.com; for dns:api.example.com, dns:orders.example.com; "
        "89 days left, until 2027-02-18\n"
        "                CN=Orders Issuing CA; issued by CN=Orders Root CA; "
        "1200 days left, until 2030-03-05\n"
        "    ours        CN=gateway,O=Example; issued by CN=Clients CA; "
        "200 days left, until 2027-06-09\n"
        "    http        HEAD https://api.example.com/: 200, HTTP/1.1, server nginx; 4.2 ms\n");
}

static void a_good_link_with_all_there_is(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture.host.n = 2;
    fixture.host.aliases = constant("lb.example.net eu.lb.example.net");
    fixture.ttls_s[1] = 300;
    fixture_endpoint(&fixture, &fixture.endpoints[1]);
    fixture.endpoints[0].evidence.asked = false;
    fixture.endpoints[0].evidence.n_chain = 1;
    failure_set(&fixture.endpoints[1].failure, REASON_connect_refused, "Connection refused");
    fixture.endpoints[1].is_established = false;
    fixture.endpoints[1].version = NULL;
    fixture.endpoints[1].connect_us = fixture.endpoints[1].handshake_us = 0;
    fixture.service.n_endpoints = 2;
    fixture.service.own = NULL;
    fixture.service.n_own = 0;
    fixture.endpoints[0].speaks_first = true;
    fixture.service.http.via_agent = true;
    fixture.service.http.url = constant("http://api.example.com/");
    addr_parse_ip("127.0.0.1", 9001, &fixture.service.http.addr);
    fixture.warnings[0] = constant("the backend never asked for a certificate");
    fixture.service.n_warnings = 1;
    assert_printed(
        &fixture,
        "order-service: ok\n"
        "    dns         api.example.com: 192.0.2.10, 2001:db8::10; TTL 60 to 300 s; "
        "CNAME lb.example.net, eu.lb.example.net\n"
        "    address     192.0.2.10:443: asked for no certificate; TLS 1.3, AES-256-GCM, X25519, "
        "ALPN h2; TCP 1.2 ms, handshake 25.1 ms; it speaks first\n"
        "                [2001:db8::10]:443: connect_refused (network): Connection refused\n"
        "    resumption  works\n"
        "    backend     CN=api.example.com; for dns:api.example.com, dns:orders.example.com; "
        "issued by CN=Orders Issuing CA; 89 days left, until 2027-02-18\n"
        "    ours        none: tls_mode = tls presents no certificate\n"
        "    http        HEAD http://api.example.com/ through the agent at 127.0.0.1:9001: 200, "
        "HTTP/1.1, server nginx; 4.2 ms\n"
        "    warning     the backend never asked for a certificate\n");
}

static void an_unknown_issuer(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture_fail(&fixture, REASON_cert_untrusted, false,
                 "its chain of 2 ends at one issued by CN=Orders Root CA; we trust CN=Other CA");
    fixture.cas[0] = certificate("CN=Other CA", "CN=Other CA", 20);
    fixture.cas[1] = certificate("CN=Old CA", "CN=Old CA", -3);
    fixture.service.n_cas = 2;
    assert_printed(
        &fixture,
        "order-service: cert_untrusted (we refused the backend)\n"
        "    why         its chain of 2 ends at one issued by CN=Orders Root CA; we trust "
        "CN=Other CA\n"
        "    to do       the backend's chain does not lead to the CA in `ca`: check that file and "
        "its chain\n"
        "    address     192.0.2.10:443: cert_untrusted; TLS 1.3; TCP 1.2 ms\n"
        "    backend     CN=api.example.com; for dns:api.example.com, dns:orders.example.com; "
        "89 days left, until 2027-02-18\n"
        "                CN=Orders Issuing CA; issued by CN=Orders Root CA; "
        "1200 days left, until 2030-03-05\n"
        "    we trust    CN=Other CA; 20 days left, until 2026-12-11 (!)\n"
        "                CN=Old CA; expired 3 days ago, on 2026-11-18 (!)\n");
}

static void a_name_that_does_not_match(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture_fail(&fixture, REASON_cert_name_mismatch, false,
                 "wanted dns:www.example.com; the certificate is for dns:api.example.com");
    fixture.host.has_ttl = false;
    fixture.endpoints[0].evidence.n_chain = 1;
    assert_printed(
        &fixture,
        "order-service: cert_name_mismatch (we refused the backend)\n"
        "    why         wanted dns:www.example.com; the certificate is for dns:api.example.com\n"
        "    to do       the backend's certificate is for other names: check `address`, `sni` and "
        "`verify_name`\n"
        "    dns         api.example.com: 192.0.2.10; from /etc/hosts\n"
        "    address     192.0.2.10:443: cert_name_mismatch; TLS 1.3; TCP 1.2 ms\n"
        "    backend     CN=api.example.com; for dns:api.example.com, dns:orders.example.com; "
        "issued by CN=Orders Issuing CA; 89 days left, until 2027-02-18\n");
}

static void a_backend_that_accepts_other_issuers(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture_fail(&fixture, REASON_client_cert_untrusted, true,
                 "the backend sent alert 48 (CA is unknown)");
    fixture.endpoints[0].is_established = true;
    fixture.endpoints[0].handshake_us = 25130;
    fixture.endpoints[0].evidence.issuer_matched = false;
    fixture.endpoints[0].evidence.accepted = constant("CN=Partners CA or CN=Staff CA");
    fixture.own[1] = certificate("CN=Clients CA", "CN=Clients Root", 800);
    fixture.service.n_own = 2;
    assert_printed(
        &fixture,
        "order-service: client_cert_untrusted (the backend refused us)\n"
        "    why         the backend sent alert 48 (CA is unknown)\n"
        "    to do       the backend does not trust the CA of our certificate: compare it with its "
        "CA list\n"
        "    address     192.0.2.10:443: client_cert_untrusted after the handshake; TLS 1.3; "
        "TCP 1.2 ms, handshake 25.1 ms\n"
        "    ours        CN=gateway,O=Example; 200 days left, until 2027-06-09\n"
        "                CN=Clients CA; issued by CN=Clients Root; 800 days left, "
        "until 2029-01-29\n"
        "    accepts     certificates issued by CN=Partners CA or CN=Staff CA; ours is issued by "
        "CN=Clients CA, and that by CN=Clients Root\n");
    failure_set_by_peer(&fixture.service.verdict, REASON_client_cert_untrusted,
                        "it accepts certificates issued by CN=Partners CA or CN=Staff CA; ours is "
                        "issued by CN=Clients CA, and that by CN=Clients Root");
    assert_string_equal(line_of(&fixture, false, "accepts  "),
                        "accepts     certificates issued by CN=Partners CA or CN=Staff CA");
}

static void a_refusal_in_http(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture.service.http.status = 400;
    failure_set_by_peer(&fixture.service.verdict, REASON_client_cert_required,
                        "it answered 400 \"No required SSL certificate was sent\"");
    fixture.service.own = NULL;
    fixture.service.n_own = 0;
    assert_printed(
        &fixture,
        "order-service: client_cert_required (the backend refused us)\n"
        "    why         it answered 400 \"No required SSL certificate was sent\"\n"
        "    to do       the backend wants a client certificate: set tls_mode = mtls and "
        "`certificate`\n"
        "    address     192.0.2.10:443: the handshake was good; TLS 1.3, AES-256-GCM, X25519, "
        "ALPN h2; TCP 1.2 ms, handshake 25.1 ms\n"
        "    ours        none: tls_mode = tls presents no certificate\n"
        "    accepts     the backend did not name the issuers that it accepts\n"
        "    http        HEAD https://api.example.com/: 400, HTTP/1.1, server nginx; 4.2 ms\n");
}

static void a_name_that_does_not_resolve(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture_fail(&fixture, REASON_dns_failed, false, "api.example.com: the name does not exist");
    fixture.host.n = 0;
    fixture.host.failure = constant("the name does not exist");
    fixture.service.n_endpoints = 0;
    assert_printed(&fixture,
                   "order-service: dns_failed (network)\n"
                   "    why         api.example.com: the name does not exist\n"
                   "    to do       check the name in `address` and this host's resolvers\n"
                   "    dns         api.example.com: the name does not exist, after 3.0 ms\n");
}

static void another_key_than_the_pinned_one(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture_fail(&fixture, REASON_pin_mismatch, false, "its key has the pin " PIN);
    fixture.endpoints[0].evidence.n_chain = 1;
    assert_printed(
        &fixture,
        "order-service: pin_mismatch (we refused the backend)\n"
        "    why         its key has the pin " PIN "\n"
        "    to do       the backend's key is not the pinned one: find out why it changed before "
        "changing `pin`\n"
        "    dns         api.example.com: 192.0.2.10; TTL 60 s\n"
        "    address     192.0.2.10:443: pin_mismatch; TLS 1.3; TCP 1.2 ms\n"
        "    backend     CN=api.example.com; for dns:api.example.com, dns:orders.example.com; "
        "issued by CN=Orders Issuing CA; 89 days left, until 2027-02-18\n"
        "    its pin     pin = " PIN "\n");
}

static void days_left_that_are_worth_a_mark(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    const char *start = "ours        CN=gateway,O=Example; issued by CN=Clients CA; ";
    char expected[256];
    struct {
        long days;
        const char *told;
    } const cases[] = {
        {30, "30 days left, until 2026-12-21"},       {29, "29 days left, until 2026-12-20 (!)"},
        {12, "12 days left, until 2026-12-03 (!)"},   {1, "1 day left, until 2026-11-22 (!)"},
        {-1, "expired 1 day ago, on 2026-11-20 (!)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        fixture.own[0].not_after = NOW + cases[i].days * DAY;
        snprintf(expected, sizeof(expected), "%s%s", start, cases[i].told);
        assert_string_equal(line_of(&fixture, false, "ours"), expected);
    }
    fixture.own[0] = certificate("CN=gateway,O=Example", "CN=Clients CA", 400);
    fixture.own[0].not_before = NOW + 41 * DAY;
    snprintf(expected, sizeof(expected), "%svalid only from 2027-01-01, 41 days ahead (!)", start);
    assert_string_equal(line_of(&fixture, false, "ours"), expected);
}

static void a_bundle_of_cas_is_not_listed_to_its_end(void **state)
{
    (void)state;
    struct fixture fixture;
    struct inspect_facts cas[20];
    fixture_set_up(&fixture);
    fixture_fail(&fixture, REASON_cert_untrusted, false, "unknown");
    for (size_t i = 0; i < COUNT(cas); i++) {
        cas[i] = certificate(i == 7 ? "CN=The eighth" : "CN=One", "CN=One", 100);
    }
    fixture.service.cas = cas;
    fixture.service.n_cas = COUNT(cas);
    assert_string_equal(line_of(&fixture, false, "CN=The eighth"),
                        "CN=The eighth; 100 days left, until 2027-03-01");
    assert_string_equal(line_of(&fixture, false, "and 12"), "and 12 more");
    fixture.service.cas = NULL;
    fixture.service.n_cas = 0;
    assert_string_equal(line_of(&fixture, false, "we trust"), "we trust    the system's CAs");
}

static void escape_sequences_do_not_reach_the_terminal(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture.endpoints[0].evidence.n_chain = 1;
    fixture.endpoints[0].evidence.chain[0] =
        certificate("CN=\033[2J\xc2\x9bm\xff\"\\", "CN=\r\nfake: ok", 89);
    fixture.endpoints[0].evidence.chain[0].names = constant("dns:\a");
    assert_string_equal(line_of(&fixture, false, "backend"),
                        "backend     CN=?[2J??m?\"\\; for dns:?; issued by CN=??fake: ok; "
                        "89 days left, until 2027-02-18");
    fixture.service.http.server = constant("\033]0;title\a");
    assert_string_equal(line_of(&fixture, false, "http"),
                        "http        HEAD https://api.example.com/: 200, HTTP/1.1, "
                        "server ?]0;title?; 4.2 ms");
}

static void colour_is_all_that_colour_changes(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture.own[0].not_after = NOW + 12 * DAY;
    fixture.warnings[0] = constant("look here");
    fixture.service.n_warnings = 1;
    assert_string_equal(line_of(&fixture, true, "order-service"),
                        "order-service: \033[32mok\033[0m");
    assert_string_equal(line_of(&fixture, true, "ours"),
                        "ours        CN=gateway,O=Example; issued by CN=Clients CA; "
                        "\033[33m12 days left, until 2026-12-03 (!)\033[0m");
    assert_string_equal(line_of(&fixture, true, "warning"), "warning     look here\033[0m");
    fixture_fail(&fixture, REASON_unreachable, false, "No route to host");
    assert_string_equal(line_of(&fixture, true, "order-service"),
                        "order-service: \033[31munreachable\033[0m (network)");
}

static void several_services_are_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    struct config_service configs[] = {{.name = constant("a")},
                                       {.name = constant("b")},
                                       {.name = constant("c")}};
    struct report_service services[] = {{.service = &configs[0]},
                                        {.service = &configs[1]},
                                        {.service = &configs[2]}};
    const char *const expected[] = {
        "all 3 services are good\n",
        "1 of 3 services is not good: a\n",
        "2 of 3 services are not good: a, b\n",
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        char *text;
        FILE *out = fixture_open(&text);
        text_print_total(&(struct report){NOW, services, COUNT(services)}, out);
        text_print_total(&fixture.report, out);
        assert_said(out, &text, expected[i]);
        services[i].verdict.reason = REASON_dns_failed;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_link),
        cmocka_unit_test(a_good_link_with_all_there_is),
        cmocka_unit_test(an_unknown_issuer),
        cmocka_unit_test(a_name_that_does_not_match),
        cmocka_unit_test(a_backend_that_accepts_other_issuers),
        cmocka_unit_test(a_refusal_in_http),
        cmocka_unit_test(a_name_that_does_not_resolve),
        cmocka_unit_test(another_key_than_the_pinned_one),
        cmocka_unit_test(days_left_that_are_worth_a_mark),
        cmocka_unit_test(a_bundle_of_cas_is_not_listed_to_its_end),
        cmocka_unit_test(escape_sequences_do_not_reach_the_terminal),
        cmocka_unit_test(colour_is_all_that_colour_changes),
        cmocka_unit_test(several_services_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
