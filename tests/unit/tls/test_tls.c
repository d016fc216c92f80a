#include "tls/peer.h"

#include "tests/unit/tls/pair.h"

/* Room for all that a test sends at once, and what tls_read() wants to have free. */
static uint8_t plain[4 * 1024 * 1024 + 2 * TLS_RECORD_MAX];

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    }
}

/* Sends from the client, reads on the server, and compares. */
static void check_up(struct pair *pair, size_t len)
{
    uint8_t *sent = malloc(len), *got = malloc(len);
    fill(sent, len);
    assert_int_equal(tls_write(pair->client, sent, len, &pair->to_server), TLS_DONE);
    size_t total = 0;
    while (total < len) {
        ssize_t n = gnutls_record_recv(pair->server, got + total, len - total);
        if (n == GNUTLS_E_AGAIN && buf_len(&pair->to_server) > 0) {
            continue; /* told after each message that is not data */
        }
        assert_true(n > 0);
        total += (size_t)n;
    }
    assert_memory_equal(sent, got, len);
    free(sent);
    free(got);
}

static void check_down(struct pair *pair, size_t len)
{
    uint8_t *sent = malloc(len);
    enum tls_status status;
    fill(sent, len);
    for (size_t done = 0; done < len;) {
        ssize_t n = gnutls_record_send(pair->server, sent + done, len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    assert_int_equal(pair_read(pair, plain, sizeof(plain), &status), len);
    assert_memory_equal(plain, sent, len);
    free(sent);
}

static const char *const versions[][2] = {
    {"1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"},
    {"1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2"},
};

static void test_both_versions_in_pieces_of_any_size(void **state)
{
    static const size_t pieces[] = {1, 5, 977, 16384, PAIR_MAX};
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
            struct pair *pair = pair_new((struct pair_spec){
                .server_priority = versions[v][1],
                .piece = pieces[i],
            });
            assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
            assert_string_equal(tls_version(pair->client), versions[v][0]);
            assert_string_equal(tls_cipher(pair->client), "AES-128-GCM");
            assert_false(tls_is_resumed(pair->client));
            check_up(pair, 100000);
            check_down(pair, 100000);
            assert_true(tls_is_confirmed(pair->client));
            pair_free(pair);
        }
    }
}

static void test_certificate_is_presented_when_asked_for(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    int server;
    assert_int_equal(pair_handshake(pair, &server), TLS_DONE);
    assert_int_equal(server, 0);
    unsigned n;
    assert_non_null(gnutls_certificate_get_peers(pair->server, &n));
    assert_int_equal(n, 1);
    pair_free(pair);
}

/* RFC 8446 section 4.4.2.4: the server judges after our handshake is done. */
static void test_refusal_after_the_handshake_is_attributed(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){.no_identity = true});
    enum tls_status status;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    assert_false(tls_is_confirmed(pair->client));

    gnutls_alert_send(pair->server, GNUTLS_AL_FATAL, GNUTLS_A_CERTIFICATE_REQUIRED);
    assert_int_equal(pair_read(pair, plain, sizeof(plain), &status), 0);
    assert_int_equal(status, TLS_FAILED);
    assert_int_equal(tls_failure(pair->client)->reason, REASON_client_cert_required);
    assert_true(tls_failure(pair->client)->by_peer);
    pair_free(pair);
}

static void test_backend_is_refused_before_anything_is_sent(void **state)
{
    static const struct {
        struct pair_spec spec;
        enum reason reason;
    } cases[] = {
        {{.host = "other.example.com"}, REASON_cert_name_mismatch},
        {{.host = "192.0.2.1"}, REASON_cert_name_mismatch},
        {{.purpose = GNUTLS_KP_TLS_WWW_CLIENT}, REASON_cert_purpose},
        {{.trusts_namesake = true}, REASON_cert_untrusted},
    };
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct pair_spec spec = cases[i].spec;
            spec.server_priority = versions[v][1];
            struct pair *pair = pair_new(spec);
            int server;
            assert_int_equal(pair_handshake(pair, &server), TLS_FAILED);
            assert_int_equal(tls_failure(pair->client)->reason, cases[i].reason);
            assert_false(tls_failure(pair->client)->by_peer);
            assert_true(server < 0 && gnutls_error_is_fatal(server));
            assert_null(gnutls_certificate_get_peers(pair->server, &(unsigned){0}));
            pair_free(pair);
        }
    }
}

/* Two runs of a recipe make two CAs that look the same in every message. */
static void test_namesake_of_the_ca_is_told_from_it(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){.trusts_namesake = true});
    assert_int_equal(pair_handshake(pair, NULL), TLS_FAILED);
    assert_string_equal(tls_failure(pair->client)->detail,
                        "its chain of 1 ends at one issued by CN=CA; we trust CN=CA, of the same "
                        "name, but its key did not sign that");
    pair_free(pair);
}

static void test_close_notify_is_an_end_and_half_of_one(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    enum tls_status status;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    gnutls_bye(pair->server, GNUTLS_SHUT_WR);
    pair_read(pair, plain, sizeof(plain), &status);
    assert_int_equal(status, TLS_CLOSED);
    check_up(pair, 5000);

    tls_close(pair->client, &pair->to_server);
    assert_int_equal(gnutls_record_recv(pair->server, plain, sizeof(plain)), 0);
    pair_free(pair);
}

/* A record of padding alone (RFC 8446 section 5.4) is no end of file: taking it for one would
 * truncate the stream. */
static void test_empty_record_is_not_the_end(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    enum tls_status status;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    assert_int_equal(gnutls_record_send2(pair->server, "", 0, 100, 0), 0);
    assert_int_equal(gnutls_record_send(pair->server, "x", 1), 1);
    assert_int_equal(pair_read(pair, plain, sizeof(plain), &status), 1);
    assert_int_equal(status, TLS_WANT_INPUT);
    pair_free(pair);
}

static void test_key_update_between_records_keeps_every_byte(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    for (int i = 0; i < 5; i++) {
        check_down(pair, 50000);
        check_up(pair, 50000);
        fixture_ok(gnutls_session_key_update(pair->server, GNUTLS_KU_PEER));
    }
    pair_free(pair);
}

static void test_key_update_flood_is_bounded(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    enum tls_status status = TLS_WANT_INPUT;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    for (int i = 0; i < 100 && status != TLS_FAILED; i++) {
        fixture_ok(gnutls_session_key_update(pair->server, 0));
        pair_read(pair, plain, sizeof(plain), &status);
    }
    assert_int_equal(status, TLS_FAILED);
    assert_int_equal(tls_failure(pair->client)->reason, REASON_tls_protocol);
    pair_free(pair);
}

static void test_what_is_not_tls_is_named(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *detail;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n", 26, "it answered \"HTTP/1.1 400 Bad Request\""},
        {"SSH-2.0-OpenSSH_9.2\r\n", 21, "it answered \"SSH-2.0-OpenSSH_9.2\""},
        {"\0\0\0\0", 4, "it answered bytes that are not TLS"},
        {"\x16\x02", 2, "it answered bytes that are not TLS"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair *pair = pair_new((struct pair_spec){0});
        struct tls_input in = {(const uint8_t *)cases[i].bytes, cases[i].len};
        assert_int_equal(tls_handshake(pair->client, &in, &pair->to_server), TLS_FAILED);
        assert_int_equal(tls_failure(pair->client)->reason, REASON_not_tls);
        assert_string_equal(tls_failure(pair->client)->detail, cases[i].detail);
        pair_free(pair);
    }
}

static void test_end_of_transport_is_named_by_when_it_comes(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){.server_flags = GNUTLS_NO_TICKETS});
    tls_end(pair->client, 0);
    assert_int_equal(tls_failure(pair->client)->reason, REASON_upstream_reset);
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    tls_end(pair->client, 0);
    assert_int_equal(tls_failure(pair->client)->reason, REASON_upstream_truncated);
    assert_non_null(strstr(tls_failure(pair->client)->detail, "accepted our certificate"));
    tls_end(pair->client, ECONNRESET);
    assert_int_equal(tls_failure(pair->client)->reason, REASON_upstream_reset);
    pair_free(pair);
}

static void test_damaged_record_fails(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){0});
    enum tls_status status;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    pair_read(pair, plain, sizeof(plain), &status);
    assert_int_equal(gnutls_record_send(pair->server, "hello", 5), 5);
    pair->to_client.mem[pair->to_client.end - 1] ^= 1;
    assert_int_equal(pair_read(pair, plain, sizeof(plain), &status), 0);
    assert_int_equal(status, TLS_FAILED);
    assert_int_equal(tls_failure(pair->client)->reason, REASON_tls_protocol);
    pair_free(pair);
}

static void test_post_handshake_authentication_is_answered(void **state)
{
    (void)state;
    struct pair *pair =
        pair_new((struct pair_spec){.not_asked = true, .server_flags = GNUTLS_POST_HANDSHAKE_AUTH});
    enum tls_status status;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    gnutls_certificate_server_set_request(pair->server, GNUTLS_CERT_REQUIRE);
    assert_int_equal(gnutls_reauth(pair->server, 0), GNUTLS_E_AGAIN);
    pair_read(pair, plain, sizeof(plain), &status);
    assert_int_equal(status, TLS_WANT_INPUT);
    assert_int_equal(gnutls_reauth(pair->server, 0), 0);
    assert_non_null(gnutls_certificate_get_peers(pair->server, &(unsigned){0}));
    check_up(pair, 1000);

    /* What it says next is about the certificate, however much it said before we showed it. */
    assert_false(tls_is_confirmed(pair->client));
    gnutls_alert_send(pair->server, GNUTLS_AL_FATAL, GNUTLS_A_UNKNOWN_CA);
    pair_read(pair, plain, sizeof(plain), &status);
    assert_int_equal(status, TLS_FAILED);
    assert_int_equal(tls_failure(pair->client)->reason, REASON_client_cert_untrusted);
    pair_free(pair);
}

static void test_renegotiation_is_declined(void **state)
{
    (void)state;
    struct pair *pair = pair_new((struct pair_spec){.server_priority = versions[1][1]});
    enum tls_status status;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    assert_int_equal(gnutls_rehandshake(pair->server), 0);
    pair_read(pair, plain, sizeof(plain), &status);
    assert_int_equal(status, TLS_WANT_INPUT);
    check_up(pair, 1000);
    check_down(pair, 1000);
    pair_free(pair);
}

/* The rules of another profile, which is made of the pair's files as they are now. */
static bool would_pass(struct pair *pair, const char *ca, const char *crl, const char *name,
                       struct failure *ret_failure)
{
    const char *why;
    const struct trust_crl list = {.path = crl};
    const struct trust_source source = {.ca = ca, .crls = &list, .n_crls = crl != NULL};
    struct name wanted = {.kind = NAME_DNS, .text = (char *)(uintptr_t)name};
    struct trust *trust = trust_load(&source, pair->problems);
    const struct profile_options options = {
        .trust = trust, .names = &wanted, .n_names = name != NULL, .tls_min = 12, .tls_max = 13};
    struct profile *profile = profile_new(&options, &why);
    bool passes = peer_would_pass(pair->client, profile, ret_failure);
    profile_unref(profile);
    trust_unref(trust);
    return passes;
}

static void test_peer_is_judged_anew_without_being_disturbed(void **state)
{
    (void)state;
    struct fixture_cert other = fixture_make((struct fixture_spec){.cn = "Other", .is_ca = true});
    (void)unlink("other.crt");
    fixture_add("other.crt", &other);
    for (size_t v = 0; v < 2; v++) {
        struct pair *pair = pair_new((struct pair_spec){.server_priority = versions[v][1]});
        struct failure failure = {0};
        (void)unlink("good.crl"), (void)unlink("bad.crl");
        fixture_add_crl("good.crl", (struct fixture_crl){.issuer = &pair->ca});
        fixture_add_crl("bad.crl",
                        (struct fixture_crl){.issuer = &pair->ca, .revoked = &pair->server_cert});
        assert_false(would_pass(pair, "ca.crt", NULL, NULL, &failure));
        assert_int_equal(failure.reason, REASON_internal); /* too early */

        assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
        assert_true(would_pass(pair, "ca.crt", NULL, NULL, &failure));
        assert_true(would_pass(pair, "ca.crt", "good.crl", NULL, &failure));
        assert_false(would_pass(pair, "other.crt", NULL, NULL, &failure));
        assert_int_equal(failure.reason, REASON_cert_untrusted);
        assert_false(would_pass(pair, "ca.crt", "bad.crl", NULL, &failure));
        assert_int_equal(failure.reason, REASON_cert_revoked);
        assert_false(would_pass(pair, "ca.crt", NULL, "other.example.com", &failure));
        assert_int_equal(failure.reason, REASON_cert_name_mismatch);
        assert_true(would_pass(pair, "ca.crt", NULL, "api.example.com", &failure));

        assert_int_equal(tls_failure(pair->client)->reason, REASON_ok);
        check_up(pair, 100000);
        check_down(pair, 100000);
        pair_free(pair);
    }
    fixture_release(&other);
}

static void test_peers_end_is_known_accepted_or_not(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        for (int is_refused = 0; is_refused < 2; is_refused++) {
            struct pair *pair = pair_new((struct pair_spec){.server_priority = versions[v][1],
                                                            .trusts_namesake = is_refused != 0});
            assert_int_equal(peer_not_after(pair->client), 0);
            assert_int_equal(pair_handshake(pair, NULL), is_refused ? TLS_FAILED : TLS_DONE);
            assert_int_equal(peer_not_after(pair->client),
                             gnutls_x509_crt_get_expiration_time(pair->server_cert.crt));
            pair_free(pair);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_versions_in_pieces_of_any_size),
        cmocka_unit_test(test_certificate_is_presented_when_asked_for),
        cmocka_unit_test(test_refusal_after_the_handshake_is_attributed),
        cmocka_unit_test(test_backend_is_refused_before_anything_is_sent),
        cmocka_unit_test(test_namesake_of_the_ca_is_told_from_it),
        cmocka_unit_test(test_close_notify_is_an_end_and_half_of_one),
        cmocka_unit_test(test_empty_record_is_not_the_end),
        cmocka_unit_test(test_key_update_between_records_keeps_every_byte),
        cmocka_unit_test(test_key_update_flood_is_bounded),
        cmocka_unit_test(test_what_is_not_tls_is_named),
        cmocka_unit_test(test_end_of_transport_is_named_by_when_it_comes),
        cmocka_unit_test(test_damaged_record_fails),
        cmocka_unit_test(test_post_handshake_authentication_is_answered),
        cmocka_unit_test(test_renegotiation_is_declined),
        cmocka_unit_test(test_peer_is_judged_anew_without_being_disturbed),
        cmocka_unit_test(test_peers_end_is_known_accepted_or_not),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
