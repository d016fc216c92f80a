/* What a worker remembers of a service's endpoints: of each apart, and until the endpoint or the
 * service is no more. */
#include "worker/tickets.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/tls/pair.h"

static uint8_t plain[4 * TLS_RECORD_MAX];

/* By how much clock_gettime() is ahead of time(). */
static time_t skew_s;

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, ret_now);
    ret_now->tv_sec += skew_s;
    return rc;
}

/* A service whose backend is at the other end of a pair. */
struct rig {
    struct pair *pair;
    struct account *account;
    struct service *service;
    struct tickets *tickets;
    gnutls_datum_t key;
};

static struct endpoints *make_endpoints(size_t n, const char *const hosts[], const int ports[])
{
    struct endpoints *endpoints = endpoints_new(n);
    const char *why;
    assert_non_null(endpoints);
    for (size_t i = 0; i < n; i++) {
        struct endpoint *endpoint = &endpoints->list[i];
        assert_int_equal(addr_parse_ip("127.0.0.1", (uint16_t)ports[i], &endpoint->addr), 0);
        assert_int_equal(name_from_host(hosts[i], &endpoint->host, &why), 0);
    }
    return endpoints;
}

static struct endpoints *make_endpoint(const char *host, int port)
{
    return make_endpoints(1, &host, &port);
}

static struct resumption *find(struct rig *rig, const char *host, int port)
{
    struct endpoints *endpoints = make_endpoint(host, port);
    struct resumption *resumption = tickets_of(rig->tickets, &endpoints->list[0]);
    assert_non_null(resumption);
    endpoints_unref(endpoints);
    return resumption;
}

static int open_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->pair = pair_new((struct pair_spec){0});
    rig->account = account_new("backend");
    rig->service = service_new(0, rig->pair->profile, rig->account);
    rig->service->session_reuse = true;
    rig->tickets = tickets_new(rig->service);
    assert_non_null(rig->tickets);
    fixture_ok(gnutls_session_ticket_key_generate(&rig->key));
    fixture_ok(gnutls_session_ticket_enable_server(rig->pair->server, &rig->key));
    skew_s = 0;
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    tickets_free(rig->tickets);
    service_unref(rig->service);
    account_unref(rig->account);
    pair_free(rig->pair);
    gnutls_free(rig->key.data);
    free(rig);
    return 0;
}

/* Lets a session leave what it has. Returns how many tickets are there then. */
static size_t run(struct rig *rig, struct resumption *resumption)
{
    enum tls_status status;
    resumption_offer(resumption, rig->pair->client);
    assert_int_equal(pair_handshake(rig->pair, NULL), TLS_DONE);
    pair_read(rig->pair, plain, sizeof(plain), &status);
    resumption_collect(resumption, rig->pair->client);
    return resumption_tickets(resumption);
}

/* And more, later. */
static size_t send_more(struct rig *rig, struct resumption *resumption)
{
    enum tls_status status;
    assert_true(gnutls_session_ticket_send(rig->pair->server, 2, 0) >= 0);
    pair_read(rig->pair, plain, sizeof(plain), &status);
    resumption_collect(resumption, rig->pair->client);
    return resumption_tickets(resumption);
}

static void test_each_endpoint_is_remembered_apart(void **state)
{
    struct rig *rig = *state;
    struct resumption *one = find(rig, "api.example.com", 443);
    assert_ptr_equal(find(rig, "api.example.com", 443), one);
    assert_ptr_not_equal(find(rig, "api.example.com", 444), one);
    assert_ptr_not_equal(find(rig, "other.example.com", 443), one);
    assert_ptr_not_equal(find(rig, "127.0.0.1", 443), one);
    assert_ptr_equal(find(rig, "api.example.com", 443), one);
    assert_true(run(rig, one) > 0);
    assert_int_equal(resumption_tickets(find(rig, "api.example.com", 444)), 0);
    assert_int_equal(resumption_tickets(find(rig, "other.example.com", 443)), 0);
}

static void test_nothing_is_kept_where_that_is_not_wanted(void **state)
{
    struct rig *rig = *state;
    rig->service->session_reuse = false;
    assert_int_equal(run(rig, find(rig, "api.example.com", 443)), 0);
}

static void test_what_is_still_an_endpoint_is_kept(void **state)
{
    struct rig *rig = *state;
    const char *const hosts[] = {"other.example.com", "api.example.com"};
    const int ports[] = {443, 443};
    struct endpoints *endpoints = make_endpoints(2, hosts, ports);
    struct resumption *kept = find(rig, "api.example.com", 443);
    size_t n = run(rig, kept);
    tickets_restrict(rig->tickets, endpoints);
    assert_ptr_equal(find(rig, "api.example.com", 443), kept);
    assert_int_equal(resumption_tickets(kept), n);
    assert_true(send_more(rig, kept) > n);
    endpoints_unref(endpoints);
}

/* Nobody comes who would be offered them. */
static void test_old_tickets_are_forgotten(void **state)
{
    struct rig *rig = *state;
    struct resumption *resumption = find(rig, "api.example.com", 443);
    size_t n = run(rig, resumption);
    skew_s = 3590;
    tickets_expire(rig->tickets);
    assert_int_equal(resumption_tickets(resumption), n);
    assert_int_equal(send_more(rig, resumption), n + 2);
    skew_s = 3600;
    tickets_expire(rig->tickets);
    assert_int_equal(resumption_tickets(resumption), 2);
    skew_s = 7190;
    tickets_expire(rig->tickets);
    assert_int_equal(resumption_tickets(resumption), 0);
}

static void expect_over(struct rig *rig, struct resumption *resumption)
{
    assert_int_equal(resumption_tickets(resumption), 0);
    assert_int_equal(send_more(rig, resumption), 0);
}

/* Also in the eyes of a session that goes on. */
static void test_what_is_no_endpoint_any_more_is_forgotten(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *host;
        int port;
    } elsewhere[] = {{"api.example.com", 444}, {"other.example.com", 443}};
    for (size_t i = 0; i < 2; i++) {
        struct endpoints *endpoints = make_endpoint(elsewhere[i].host, elsewhere[i].port);
        struct resumption *gone = resumption_ref(find(rig, "api.example.com", 443));
        assert_true(i > 0 || run(rig, gone) > 0);
        tickets_restrict(rig->tickets, endpoints);
        expect_over(rig, gone);
        assert_ptr_not_equal(find(rig, "api.example.com", 443), gone);
        resumption_unref(gone);
        endpoints_unref(endpoints);
    }
}

static void test_no_endpoint_at_all(void **state)
{
    struct rig *rig = *state;
    struct endpoints *none = endpoints_new(0);
    struct resumption *gone = resumption_ref(find(rig, "api.example.com", 443));
    assert_true(run(rig, gone) > 0);
    tickets_restrict(rig->tickets, none);
    expect_over(rig, gone);
    resumption_unref(gone);
    endpoints_unref(none);
}

static void test_all_is_forgotten_at_the_end(void **state)
{
    struct rig *rig = *state;
    struct resumption *gone = resumption_ref(find(rig, "api.example.com", 443));
    assert_true(run(rig, gone) > 0);
    rig->tickets = tickets_free(rig->tickets);
    expect_over(rig, gone);
    resumption_unref(gone);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_endpoint_is_remembered_apart),
        TEST(test_nothing_is_kept_where_that_is_not_wanted),
        TEST(test_what_is_still_an_endpoint_is_kept),
        TEST(test_what_is_no_endpoint_any_more_is_forgotten),
        TEST(test_no_endpoint_at_all),
        TEST(test_all_is_forgotten_at_the_end),
        TEST(test_old_tickets_are_forgotten),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
