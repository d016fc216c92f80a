/* Resumption: it works where the backend takes its ticket back, and it never saves the trust
 * decision. */
#include "tls/ticket.h"

#include "tests/unit/tls/pair.h"

static const char *const versions[] = {
    "NORMAL:-VERS-ALL:+VERS-TLS1.3",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2",
};

static uint8_t plain[4 * TLS_RECORD_MAX];

static gnutls_datum_t make_key(void)
{
    gnutls_datum_t key;
    fixture_ok(gnutls_session_ticket_key_generate(&key));
    return key;
}

static struct pair *pair_with_tickets(const char *priority, const gnutls_datum_t *key)
{
    struct pair *pair = pair_new((struct pair_spec){.server_priority = priority});
    fixture_ok(gnutls_session_ticket_enable_server(pair->server, key));
    tls_observe(pair->client);
    return pair;
}

/* Both ends anew, with the same certificates; the client wants `host`. */
static void renew(struct pair *pair, const char *priority, const gnutls_datum_t *key,
                  const char *host)
{
    const struct pair_spec spec = {.server_priority = priority};
    struct name name;
    const char *why;
    gnutls_deinit(pair->server);
    gnutls_certificate_free_credentials(pair->server_credentials);
    buf_clear(&pair->to_server);
    buf_clear(&pair->to_client);
    pair_make_server(pair, &spec);
    fixture_ok(gnutls_session_ticket_enable_server(pair->server, key));

    tls_free(pair->client);
    assert_int_equal(name_from_host(host, &name, &why), 0);
    pair->client = tls_new(pair->profile, &name);
    assert_non_null(pair->client);
    name_release(&name);
}

/* A first session, and the ticket that it leaves. */
static struct ticket *earn_ticket(struct pair *pair)
{
    enum tls_status status;
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    assert_false(tls_is_resumed(pair->client));
    pair_read(pair, plain, sizeof(plain), &status);
    assert_true(ticket_is_there(pair->client));
    struct ticket *ticket = ticket_take(pair->client);
    assert_non_null(ticket);
    return ticket;
}

static void test_a_ticket_resumes(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        gnutls_datum_t key = make_key();
        struct pair *pair = pair_with_tickets(versions[v], &key);
        struct ticket *ticket = earn_ticket(pair);
        renew(pair, versions[v], &key, "api.example.com");
        assert_int_equal(ticket_offer(pair->client, ticket), 0);
        assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
        assert_true(tls_is_resumed(pair->client));
        ticket_free(ticket);
        pair_free(pair);
        gnutls_free(key.data);
    }
}

static void test_a_resumed_backend_is_judged_again(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        gnutls_datum_t key = make_key();
        struct pair *pair = pair_with_tickets(versions[v], &key);
        struct ticket *ticket = earn_ticket(pair);
        renew(pair, versions[v], &key, "other.example.com");
        assert_int_equal(ticket_offer(pair->client, ticket), 0);
        assert_int_equal(pair_handshake(pair, NULL), TLS_FAILED);
        assert_int_equal(tls_failure(pair->client)->reason, REASON_cert_name_mismatch);
        ticket_free(ticket);
        pair_free(pair);
        gnutls_free(key.data);
    }
}

static void test_a_ticket_that_is_not_taken_leads_to_a_full_handshake(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        gnutls_datum_t key = make_key(), other = make_key();
        struct pair *pair = pair_with_tickets(versions[v], &key);
        struct ticket *ticket = earn_ticket(pair);
        renew(pair, versions[v], &other, "api.example.com");
        assert_int_equal(ticket_offer(pair->client, ticket), 0);
        assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
        assert_false(tls_is_resumed(pair->client));
        ticket_free(ticket);
        pair_free(pair);
        gnutls_free(key.data);
        gnutls_free(other.data);
    }
}

static void test_no_ticket_is_kept_unless_it_is_wanted(void **state)
{
    (void)state;
    enum tls_status status;
    gnutls_datum_t key = make_key();
    struct pair *pair = pair_new((struct pair_spec){0});
    fixture_ok(gnutls_session_ticket_enable_server(pair->server, &key));
    assert_int_equal(pair_handshake(pair, NULL), TLS_DONE);
    pair_read(pair, plain, sizeof(plain), &status);
    assert_true(tls_is_confirmed(pair->client)); /* it came */
    assert_false(ticket_is_there(pair->client));
    assert_null(ticket_take(pair->client));
    assert_null(ticket_free(NULL));
    pair_free(pair);
    gnutls_free(key.data);
}

/* Takes another profile: the same, and a CRL. */
static void add_crl(struct pair *pair, const struct fixture_cert *revoked)
{
    const char *why;
    const struct trust_crl crl = {.path = "ticket.crl"};
    (void)unlink(crl.path);
    fixture_add_crl(crl.path, (struct fixture_crl){.issuer = &pair->ca, .revoked = revoked});
    profile_unref(pair->profile);
    trust_unref(pair->trust);
    pair->trust = trust_load(&(struct trust_source){.ca = "ca.crt", .crls = &crl, .n_crls = 1},
                             pair->problems);
    const struct profile_options options = {.identity = pair->identity,
                                            .trust = pair->trust,
                                            .tls_min = 12,
                                            .tls_max = 13};
    pair->profile = profile_new(&options, &why);
    assert_non_null(pair->profile);
}

static void test_a_resumed_backend_is_looked_up_in_the_crl(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        for (int is_revoked = 0; is_revoked < 2; is_revoked++) {
            gnutls_datum_t key = make_key();
            struct pair *pair = pair_with_tickets(versions[v], &key);
            struct ticket *ticket = earn_ticket(pair);
            add_crl(pair, is_revoked ? &pair->server_cert : NULL);
            renew(pair, versions[v], &key, "api.example.com");
            assert_int_equal(ticket_offer(pair->client, ticket), 0);
            assert_int_equal(pair_handshake(pair, NULL), is_revoked ? TLS_FAILED : TLS_DONE);
            assert_true(tls_is_resumed(pair->client));
            assert_int_equal(tls_failure(pair->client)->reason,
                             is_revoked ? REASON_cert_revoked : REASON_ok);
            ticket_free(ticket);
            pair_free(pair);
            gnutls_free(key.data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_ticket_resumes),
        cmocka_unit_test(test_a_resumed_backend_is_judged_again),
        cmocka_unit_test(test_a_resumed_backend_is_looked_up_in_the_crl),
        cmocka_unit_test(test_a_ticket_that_is_not_taken_leads_to_a_full_handshake),
        cmocka_unit_test(test_no_ticket_is_kept_unless_it_is_wanted),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
