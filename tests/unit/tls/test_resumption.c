/* What sessions leave for those that follow: every ticket, for its own profile and host alone and
 * for one use; and the approval of a chain, which holds as long as what it rests on. */
#include "tls/peer.h"
#include "tls/resumption.h"

#include <sys/syscall.h>

#include "tests/unit/tls/pair.h"

#define MINUTE 60
#define KEPT   8  /* of one session, however many it has */
#define MANY   20 /* more than that */

static const char *const versions[] = {
    "NORMAL:-VERS-ALL:+VERS-TLS1.3",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2",
};

static uint8_t plain[4 * TLS_RECORD_MAX];
static time_t shift_s, passed_s;

/* The whole process has these clocks, GnuTLS with it. */
int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    int ret = (int)syscall(SYS_clock_gettime, clock, ret_now);
    ret_now->tv_sec += clock == CLOCK_MONOTONIC ? passed_s : 0;
    return ret;
}

time_t time(time_t *ret_now)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += shift_s;
    if (ret_now != NULL) {
        *ret_now = now.tv_sec;
    }
    return now.tv_sec;
}

static time_t in_a_hundred_years(time_t *ret_now)
{
    time_t now = time(NULL) + (time_t)36500 * FIXTURE_DAY;
    if (ret_now != NULL) {
        *ret_now = now;
    }
    return now;
}

/* From now on GnuTLS takes every certificate for one that has expired. */
static void let_none_pass(void)
{
    gnutls_global_set_time_function(in_a_hundred_years);
}

/* ---- a pair, several sessions ---- */

struct rig {
    struct pair *pair;
    struct pair_spec spec;
    struct resumption *resumption;
    gnutls_datum_t key; /* of the server's tickets */
};

static int reset_clock(void **state)
{
    (void)state;
    shift_s = 0;
    gnutls_global_set_time_function(time);
    return 0;
}

static struct name host_of(const struct pair_spec *spec)
{
    struct name host;
    const char *why;
    const char *text = spec->host != NULL ? spec->host : "api.example.com";
    assert_int_equal(name_from_host(text, &host, &why), 0);
    return host;
}

static void renew_key(struct rig *rig)
{
    gnutls_free(rig->key.data);
    fixture_ok(gnutls_session_ticket_key_generate(&rig->key));
}

static struct rig open_rig(struct pair_spec spec, size_t max_tickets)
{
    struct rig rig = {.pair = pair_new(spec), .spec = spec};
    struct name host = host_of(&spec);
    rig.resumption = resumption_new(rig.pair->profile, &host, max_tickets);
    assert_non_null(rig.resumption);
    name_release(&host);
    renew_key(&rig);
    fixture_ok(gnutls_session_ticket_enable_server(rig.pair->server, &rig.key));
    resumption_offer(rig.resumption, rig.pair->client);
    return rig;
}

static void close_rig(struct rig *rig)
{
    resumption_unref(rig->resumption);
    pair_free(rig->pair);
    gnutls_free(rig->key.data);
}

/* Both ends anew, with the same certificates, and nothing offered yet. */
static void renew_bare(struct rig *rig)
{
    struct pair *pair = rig->pair;
    struct name host = host_of(&rig->spec);
    gnutls_deinit(pair->server);
    gnutls_certificate_free_credentials(pair->server_credentials);
    buf_clear(&pair->to_server);
    buf_clear(&pair->to_client);
    pair_make_server(pair, &rig->spec);
    fixture_ok(gnutls_session_ticket_enable_server(pair->server, &rig->key));
    tls_free(pair->client);
    pair->client = tls_new(pair->profile, &host);
    assert_non_null(pair->client);
    name_release(&host);
}

static void renew(struct rig *rig)
{
    renew_bare(rig);
    resumption_offer(rig->resumption, rig->pair->client);
}

static void read_all(struct rig *rig)
{
    enum tls_status status;
    pair_read(rig->pair, plain, sizeof(plain), &status);
    assert_int_not_equal(status, TLS_FAILED);
}

/* One whole session, and what it leaves. Returns whether it was resumed. */
static bool run(struct rig *rig)
{
    assert_int_equal(pair_handshake(rig->pair, NULL), TLS_DONE);
    resumption_collect(rig->resumption, rig->pair->client);
    read_all(rig);
    resumption_collect(rig->resumption, rig->pair->client);
    return tls_is_resumed(rig->pair->client);
}

static bool run_anew(struct rig *rig)
{
    renew(rig);
    return run(rig);
}

/* ---- tickets ---- */

static void test_each_session_resumes_the_one_before(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rig rig = open_rig((struct pair_spec){.server_priority = versions[v]}, 32);
        assert_false(tls_has_offered(rig.pair->client));
        assert_false(run(&rig));
        for (unsigned i = 0; i < 5; i++) {
            assert_true(run_anew(&rig));
            assert_true(tls_has_offered(rig.pair->client));
        }
        close_rig(&rig);
    }
}

static void test_all_tickets_are_kept_and_each_is_used_once(void **state)
{
    (void)state;
    struct rig rig = open_rig((struct pair_spec){0}, 32);
    run(&rig);
    resumption_forget(rig.resumption);
    assert_true(gnutls_session_ticket_send(rig.pair->server, 5, 0) >= 0);
    read_all(&rig);
    resumption_collect(rig.resumption, rig.pair->client);
    assert_int_equal(resumption_tickets(rig.resumption), 5);
    resumption_collect(rig.resumption, rig.pair->client);
    assert_int_equal(resumption_tickets(rig.resumption), 5);
    for (size_t left = 5; left-- > 0;) {
        renew(&rig);
        assert_int_equal(resumption_tickets(rig.resumption), left);
        assert_int_equal(pair_handshake(rig.pair, NULL), TLS_DONE);
        assert_true(tls_is_resumed(rig.pair->client));
    }
    renew(&rig);
    assert_false(tls_has_offered(rig.pair->client));
    assert_int_equal(pair_handshake(rig.pair, NULL), TLS_DONE);
    assert_false(tls_is_resumed(rig.pair->client));
    close_rig(&rig);
}

static void test_what_comes_later_is_kept_as_well(void **state)
{
    (void)state;
    struct rig rig = open_rig((struct pair_spec){0}, 32);
    run(&rig);
    size_t before = resumption_tickets(rig.resumption);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(gnutls_session_ticket_send(rig.pair->server, 2, 0) >= 0);
        read_all(&rig);
        resumption_collect(rig.resumption, rig.pair->client);
    }
    assert_int_equal(resumption_tickets(rig.resumption), before + 6);
    close_rig(&rig);
}

static void test_a_flood_is_bounded(void **state)
{
    (void)state;
    static const struct {
        size_t room, kept;
    } rows[] = {{3, 3}, {32, KEPT}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig = open_rig((struct pair_spec){0}, rows[i].room);
        run(&rig);
        resumption_forget(rig.resumption);
        assert_true(gnutls_session_ticket_send(rig.pair->server, MANY, 0) >= 0);
        read_all(&rig);
        resumption_collect(rig.resumption, rig.pair->client);
        assert_int_equal(resumption_tickets(rig.resumption), rows[i].kept);
        close_rig(&rig);
    }
}

/* The first session leaves tickets of a key that the server then forgets. One of them is offered to
 * the second in vain, which leaves tickets of the new key on top of the rest. */
static void test_the_newest_goes_first(void **state)
{
    (void)state;
    struct rig rig = open_rig((struct pair_spec){0}, 32);
    run(&rig);
    assert_true(gnutls_session_ticket_send(rig.pair->server, 2, 0) >= 0);
    read_all(&rig);
    resumption_collect(rig.resumption, rig.pair->client);
    size_t old = resumption_tickets(rig.resumption);
    assert_true(old > 1);
    renew_key(&rig);
    assert_false(run_anew(&rig));
    assert_true(resumption_tickets(rig.resumption) >= old);
    assert_true(run_anew(&rig));
    close_rig(&rig);
}

static void test_without_room_nothing_is_resumed(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rig rig = open_rig((struct pair_spec){.server_priority = versions[v]}, 0);
        assert_false(run(&rig));
        assert_int_equal(resumption_tickets(rig.resumption), 0);
        assert_false(run_anew(&rig));
        close_rig(&rig);
    }
}

static void test_what_was_forgotten_is_not_offered(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rig rig = open_rig((struct pair_spec){.server_priority = versions[v]}, 32);
        run(&rig);
        resumption_forget(rig.resumption);
        assert_int_equal(resumption_tickets(rig.resumption), 0);
        assert_false(run_anew(&rig));
        assert_true(run_anew(&rig)); /* but what comes behind that is */
        close_rig(&rig);
    }
}

/* It is told twice, as where two were broken off together. */
static void expect_pause(struct rig *rig, int seconds)
{
    resumption_pause(rig->resumption);
    resumption_pause(rig->resumption);
    assert_false(run_anew(rig));
    assert_true(resumption_tickets(rig->resumption) > 0);
    passed_s += seconds - 1;
    renew(rig);
    assert_false(tls_has_offered(rig->pair->client));
    passed_s += 2;
    renew(rig);
    assert_true(tls_has_offered(rig->pair->client));
}

static void test_a_pause_grows_until_a_session_is_resumed(void **state)
{
    (void)state;
    static const int seconds[] = {10, 20, 40, 80, 160, 320, 600, 600};
    for (size_t v = 0; v < 2; v++) {
        struct rig rig = open_rig((struct pair_spec){.server_priority = versions[v]}, 32);
        run(&rig);
        for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
            expect_pause(&rig, seconds[i]);
        }
        assert_true(run(&rig));
        expect_pause(&rig, seconds[0]);
        close_rig(&rig);
    }
}

/* As by a reload, while a session goes on. */
static void test_behind_the_end_nothing_is_kept(void **state)
{
    (void)state;
    struct rig rig = open_rig((struct pair_spec){0}, 32);
    run(&rig);
    resumption_end(rig.resumption);
    assert_int_equal(resumption_tickets(rig.resumption), 0);
    assert_true(gnutls_session_ticket_send(rig.pair->server, 2, 0) >= 0);
    read_all(&rig);
    resumption_collect(rig.resumption, rig.pair->client);
    assert_int_equal(resumption_tickets(rig.resumption), 0);
    assert_false(run_anew(&rig));
    assert_int_equal(resumption_tickets(rig.resumption), 0);
    close_rig(&rig);
}

/* ---- nobody else's ---- */

static void test_never_for_another_host(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rig rig = open_rig((struct pair_spec){.server_priority = versions[v]}, 32);
        run(&rig);
        size_t before = resumption_tickets(rig.resumption);
        rig.spec.host = "127.0.0.1";
        renew(&rig);
        assert_false(tls_has_offered(rig.pair->client));
        assert_int_equal(resumption_tickets(rig.resumption), before);
        assert_int_equal(pair_handshake(rig.pair, NULL), TLS_FAILED);
        resumption_collect(rig.resumption, rig.pair->client);
        assert_int_equal(resumption_tickets(rig.resumption), before);
        close_rig(&rig);
    }
}

/* One that is the same in all but that it is another. */
static void test_never_for_another_profile(void **state)
{
    (void)state;
    const char *why;
    struct rig rig = open_rig((struct pair_spec){0}, 32);
    run(&rig);
    size_t before = resumption_tickets(rig.resumption);
    const struct profile_options options = {.identity = rig.pair->identity,
                                            .trust = rig.pair->trust,
                                            .tls_min = 12,
                                            .tls_max = 13};
    profile_unref(rig.pair->profile);
    rig.pair->profile = profile_new(&options, &why);
    assert_non_null(rig.pair->profile);
    renew_bare(&rig);
    tls_observe(rig.pair->client); /* it has tickets to give */
    resumption_offer(rig.resumption, rig.pair->client);
    assert_false(tls_has_offered(rig.pair->client));
    assert_false(run(&rig));
    assert_int_equal(resumption_tickets(rig.resumption), before);
    close_rig(&rig);
}

static void test_nothing_is_accepted_where_nothing_is(void **state)
{
    (void)state;
    assert_null(resumption_unref(NULL));
}

/* ---- approvals ---- */

static void test_the_same_chain_is_not_judged_twice(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        /* One that asks for no certificate, or it would refuse ours. */
        struct rig rig =
            open_rig((struct pair_spec){.server_priority = versions[v], .not_asked = true}, 0);
        run(&rig);
        let_none_pass();
        for (unsigned i = 0; i < 3; i++) {
            assert_false(run_anew(&rig)); /* it passes, and not by a ticket */
        }
        renew_bare(&rig);
        assert_int_equal(pair_handshake(rig.pair, NULL), TLS_FAILED);
        close_rig(&rig);
        reset_clock(NULL);
    }
}

static void test_another_chain_is_judged(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rig rig = open_rig((struct pair_spec){.server_priority = versions[v]}, 0);
        run(&rig);
        fixture_release(&rig.pair->server_cert);
        rig.pair->server_cert =
            fixture_make((struct fixture_spec){.cn = "server",
                                               .issuer = &rig.pair->ca,
                                               .dns = "api.example.com",
                                               .purpose = GNUTLS_KP_TLS_WWW_SERVER});
        let_none_pass();
        renew(&rig);
        assert_int_equal(pair_handshake(rig.pair, NULL), TLS_FAILED);
        assert_int_equal(tls_failure(rig.pair->client)->reason, REASON_cert_expired);
        close_rig(&rig);
        reset_clock(NULL);
    }
}

static void test_an_approval_holds_for_an_hour_either_way(void **state)
{
    (void)state;
    struct rig rig = open_rig((struct pair_spec){0}, 32);
    run(&rig);
    const struct {
        int minutes;
        bool holds;
    } rows[] = {{0, true}, {59, true}, {61, false}, {-59, true}, {-61, false}, {0, true}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        shift_s = (time_t)rows[i].minutes * MINUTE;
        assert_true(peer_is_current(rig.pair->client) == rows[i].holds);
    }
    shift_s = 61L * MINUTE;
    assert_false(run_anew(&rig)); /* nor is a ticket offered */
    close_rig(&rig);
}

/* ---- what an approval rests on ---- */

#define ENDS_SOON .from_days = -2, .to_days = 0 /* in half an hour; see the fixture */

static void shorten_server(struct pair *pair)
{
    fixture_release(&pair->server_cert);
    pair->server_cert = fixture_make((struct fixture_spec){.cn = "server",
                                                           .issuer = &pair->ca,
                                                           .dns = "api.example.com",
                                                           .purpose = GNUTLS_KP_TLS_WWW_SERVER,
                                                           ENDS_SOON});
}

static void shorten_middle(struct pair *pair)
{
    struct fixture_cert middle = fixture_make(
        (struct fixture_spec){.cn = "Middle", .is_ca = true, .issuer = &pair->ca, ENDS_SOON});
    fixture_release(&pair->middle);
    fixture_release(&pair->server_cert);
    pair->middle = middle;
    pair->server_cert = fixture_make((struct fixture_spec){.cn = "server",
                                                           .issuer = &pair->middle,
                                                           .dns = "api.example.com",
                                                           .purpose = GNUTLS_KP_TLS_WWW_SERVER});
}

static void shorten_ca(struct pair *pair)
{
    struct fixture_cert ca = fixture_make(
        (struct fixture_spec){.cn = "CA", .is_ca = true, .same_key_as = &pair->ca, ENDS_SOON});
    fixture_release(&pair->ca);
    pair->ca = ca;
    assert_int_equal(unlink("ca.crt"), 0);
    fixture_add("ca.crt", &pair->ca);
}

static void shorten_client(struct pair *pair)
{
    struct fixture_cert client = fixture_make((struct fixture_spec){
        .cn = "gateway", .issuer = &pair->ca, .same_key_as = &pair->client_cert, ENDS_SOON});
    fixture_release(&pair->client_cert);
    pair->client_cert = client;
    assert_int_equal(unlink("client.crt"), 0);
    fixture_add("client.crt", &pair->client_cert);
}

static const struct trust_crl crl = {.path = "resumption.crl"};

static void add_short_crl(struct pair *pair)
{
    (void)unlink(crl.path);
    fixture_add_crl(crl.path, (struct fixture_crl){.issuer = &pair->ca,
                                                   .from_s = -3600,
                                                   .to_s = 30L * MINUTE});
}

static void expect_end(struct pair_spec spec)
{
    for (size_t v = 0; v < 2; v++) {
        spec.server_priority = versions[v];
        struct rig rig = open_rig(spec, 32);
        run(&rig);
        assert_true(peer_is_current(rig.pair->client));
        shift_s = 28L * MINUTE;
        assert_true(peer_is_current(rig.pair->client));
        shift_s = 32L * MINUTE;
        assert_false(peer_is_current(rig.pair->client));
        close_rig(&rig);
        reset_clock(NULL);
    }
}

static void test_an_approval_ends_with_what_it_rests_on(void **state)
{
    (void)state;
    expect_end((struct pair_spec){.add_files = shorten_server});
    expect_end((struct pair_spec){.add_files = shorten_middle, .has_middle = true});
    expect_end((struct pair_spec){.add_files = shorten_ca, .warning = "expires in"});
    expect_end((struct pair_spec){.add_files = add_short_crl, .crls = &crl, .n_crls = 1});
}

static void test_a_session_ends_with_our_certificate(void **state)
{
    (void)state;
    expect_end((struct pair_spec){.add_files = shorten_client, .warning = "expires in"});
}

static void test_no_ticket_of_a_certificate_that_has_ended_is_offered(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rig rig = open_rig((struct pair_spec){.server_priority = versions[v],
                                                     .add_files = shorten_server},
                                  32);
        run(&rig);
        shift_s = 28L * MINUTE;
        assert_true(run_anew(&rig));
        shift_s = 32L * MINUTE;
        renew(&rig);
        assert_false(tls_has_offered(rig.pair->client));
        assert_int_equal(pair_handshake(rig.pair, NULL), TLS_FAILED);
        assert_int_equal(tls_failure(rig.pair->client)->reason, REASON_cert_expired);
        close_rig(&rig);
        reset_clock(NULL);
    }
}

static void test_a_session_without_a_handshake_is_not_current(void **state)
{
    (void)state;
    struct rig rig = open_rig((struct pair_spec){0}, 32);
    assert_false(peer_is_current(rig.pair->client));
    run(&rig);
    assert_true(peer_is_current(rig.pair->client));
    renew(&rig); /* it is offered the approval of the one before */
    assert_false(peer_is_current(rig.pair->client));
    close_rig(&rig);
}

/* ---- handshakes that stop before they sign ---- */

static void take_rsa_key(struct pair *pair)
{
    fixture_release(&pair->client_cert);
    pair->client_cert = fixture_make((struct fixture_spec){
        .cn = "gateway", .issuer = &pair->ca, .algorithm = GNUTLS_PK_RSA, .bits = 2048});
    assert_int_equal(unlink("client.crt"), 0);
    fixture_add("client.crt", &pair->client_cert);
    fixture_write_key("client.key", &pair->client_cert);
}

/* How often the handshake stopped until it was complete. */
static unsigned count_stops(struct rig *rig, enum tls_status expected)
{
    unsigned n = 0;
    enum tls_status status = pair_handshake(rig->pair, NULL);
    while (status == TLS_WANT_THREAD) {
        assert_true(++n < 10);
        status = pair_handshake(rig->pair, NULL);
    }
    assert_int_equal(status, expected);
    return n;
}

static unsigned stops_of(struct pair_spec spec, bool is_wanted, enum tls_status expected)
{
    struct rig rig = open_rig(spec, 32);
    if (is_wanted) {
        tls_defer(rig.pair->client);
    }
    unsigned n = count_stops(&rig, expected);
    close_rig(&rig);
    return n;
}

static void test_it_stops_once_before_a_slow_signature(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct pair_spec spec = {.server_priority = versions[v], .add_files = take_rsa_key};
        assert_int_equal(stops_of(spec, true, TLS_DONE), 1);
        assert_int_equal(stops_of(spec, false, TLS_DONE), 0);
        spec.piece = 1;
        assert_int_equal(stops_of(spec, true, TLS_DONE), 1);
        spec.piece = 0;
        spec.add_files = NULL; /* P-256 */
        assert_int_equal(stops_of(spec, true, TLS_DONE), 0);
        spec.no_identity = spec.not_asked = true;
        assert_int_equal(stops_of(spec, true, TLS_DONE), 0);
    }
}

static void test_it_does_not_stop_for_a_backend_that_asks_for_no_certificate(void **state)
{
    (void)state;
    struct pair_spec spec = {.add_files = take_rsa_key, .not_asked = true};
    assert_int_equal(stops_of(spec, true, TLS_DONE), 0);
    spec.server_priority = versions[1]; /* where that is not known yet */
    assert_int_equal(stops_of(spec, true, TLS_DONE), 1);
}

static void test_a_backend_is_judged_behind_the_stop(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct pair_spec spec = {.server_priority = versions[v],
                                 .add_files = take_rsa_key,
                                 .host = "other.example.com"};
        assert_int_equal(stops_of(spec, true, TLS_FAILED), 1);
    }
}

static void test_a_resumed_handshake_does_not_stop(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct rig rig =
            open_rig((struct pair_spec){.server_priority = versions[v], .add_files = take_rsa_key},
                     32);
        tls_defer(rig.pair->client);
        assert_int_equal(count_stops(&rig, TLS_DONE), 1);
        read_all(&rig);
        resumption_collect(rig.resumption, rig.pair->client);
        renew(&rig);
        tls_defer(rig.pair->client);
        assert_int_equal(count_stops(&rig, TLS_DONE), 0);
        assert_true(tls_is_resumed(rig.pair->client));
        close_rig(&rig);
    }
}

#define TEST(test) cmocka_unit_test_setup(test, reset_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_session_resumes_the_one_before),
        TEST(test_all_tickets_are_kept_and_each_is_used_once),
        TEST(test_what_comes_later_is_kept_as_well),
        TEST(test_a_flood_is_bounded),
        TEST(test_the_newest_goes_first),
        TEST(test_without_room_nothing_is_resumed),
        TEST(test_what_was_forgotten_is_not_offered),
        TEST(test_a_pause_grows_until_a_session_is_resumed),
        TEST(test_behind_the_end_nothing_is_kept),
        TEST(test_never_for_another_host),
        TEST(test_never_for_another_profile),
        TEST(test_nothing_is_accepted_where_nothing_is),
        TEST(test_the_same_chain_is_not_judged_twice),
        TEST(test_another_chain_is_judged),
        TEST(test_an_approval_holds_for_an_hour_either_way),
        TEST(test_an_approval_ends_with_what_it_rests_on),
        TEST(test_a_session_ends_with_our_certificate),
        TEST(test_no_ticket_of_a_certificate_that_has_ended_is_offered),
        TEST(test_a_session_without_a_handshake_is_not_current),
        TEST(test_it_stops_once_before_a_slow_signature),
        TEST(test_it_does_not_stop_for_a_backend_that_asks_for_no_certificate),
        TEST(test_a_backend_is_judged_behind_the_stop),
        TEST(test_a_resumed_handshake_does_not_stop),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
