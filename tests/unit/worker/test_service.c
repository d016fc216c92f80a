/* A service over all workers: its places, of which a refused caller holds none, not even for a
 * moment, and the counts of how its connections and attempts ended. */
#include "base/clock.h"
#include "base/log.h"
#include "worker/service.h"
#include "worker/worker.h"

#include <sched.h>
#include <sys/socket.h>

#include "tests/unit/certs/fixture.h"

#define WORKERS 4
#define CALLERS 60
#define HANG_MS 30000

static void test_places_are_given_out_up_to_the_limit(void **state)
{
    (void)state;
    struct service service = {.max_connections = 2};
    assert_true(service_enter(&service));
    assert_true(service_enter(&service));
    assert_false(service_enter(&service));
    service_leave(&service);
    assert_true(service_enter(&service));
}

static void test_a_refused_caller_takes_no_place(void **state)
{
    (void)state;
    struct service service = {.max_connections = 1};
    assert_true(service_enter(&service));
    for (int i = 0; i < 5; i++) {
        assert_false(service_enter(&service));
    }
    service_leave(&service);
    assert_true(service_enter(&service));
}

/* ---- under workers ---- */

struct house {
    struct service *service;
    struct worker *workers[WORKERS];
    struct addr addr; /* where the service listens */
    _Atomic(int) wakes;
};

static void count_wake(void *ctx)
{
    struct house *house = ctx;
    atomic_fetch_add(&house->wakes, 1);
}

/* A socket with a port that the kernel chose. */
static int open_socket(struct addr *ret_addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(addr_parse_ip("127.0.0.1", 0, ret_addr), 0);
    assert_int_equal(bind(fd, &ret_addr->sa, ret_addr->len), 0);
    assert_int_equal(getsockname(fd, &ret_addr->sa, &ret_addr->len), 0);
    return fd;
}

static struct profile *make_profile(void)
{
    struct fixture_cert ca = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    struct problems *problems = problems_new();
    const char *why;
    (void)unlink("ca.crt");
    fixture_add("ca.crt", &ca);
    struct trust *trust = trust_load("ca.crt", (struct place){0}, problems);
    fixture_expect(problems, NULL);
    const struct profile_options options = {.trust = trust, .tls_min = 12, .tls_max = 13};
    struct profile *profile = profile_new(&options, &why);
    trust_unref(trust);
    problems_free(problems);
    fixture_release(&ca);
    return profile;
}

static void open_house(struct house *house)
{
    struct profile *profile = make_profile();
    struct worker_watcher watcher = {.changed = count_wake, .ctx = house};
    house->service = service_new(0, "s", profile);
    assert_non_null(house->service);
    profile_unref(profile);
    house->service->max_connections = CALLERS;
    house->service->connect_timeout_ms = HANG_MS;
    house->service->handshake_timeout_ms = HANG_MS;

    int fd = open_socket(&house->addr);
    assert_int_equal(listen(fd, CALLERS), 0);
    for (int i = 0; i < WORKERS; i++) {
        int own = dup(fd);
        house->workers[i] = worker_start(1, watcher);
        assert_non_null(house->workers[i]);
        assert_int_equal(worker_serve(house->workers[i], house->service, &own, 1), 0);
    }
    close(fd);
}

static void stop_workers(struct house *house)
{
    for (int i = 0; i < WORKERS; i++) {
        house->workers[i] = worker_stop(house->workers[i]);
    }
}

/* Tells all workers of two addresses at which nothing listens. */
static void move_out(struct house *house)
{
    struct endpoints *endpoints = endpoints_new(2);
    const char *why;
    assert_non_null(endpoints);
    for (size_t i = 0; i < endpoints->n; i++) {
        close(open_socket(&endpoints->list[i].addr));
        assert_int_equal(name_from_host("127.0.0.1", &endpoints->list[i].host, &why), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(worker_resolve(house->workers[i], 0, endpoints), 0);
    }
    endpoints_unref(endpoints);
}

static int call(const struct house *house)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &house->addr.sa, house->addr.len), 0);
    return fd;
}

static void wait_for_count(const struct tally *tally, enum reason reason, uint64_t count)
{
    uint64_t hang_ms = clock_ms() + HANG_MS;
    while (tally_count(tally, reason) < count && clock_ms() < hang_ms) {
        sched_yield();
    }
    assert_int_equal(tally_count(tally, reason), count);
}

static void add_count(void *ctx, const struct tally_sum *sum)
{
    assert_int_equal(sum->reason, REASON_connect_refused);
    *(uint64_t *)ctx += sum->count;
}

/* The first of each tally is told, all others are folded, whichever worker met them. */
static void expect_all_but_one_folded(struct tally *tally, uint64_t n_failures)
{
    uint64_t folded = 0;
    tally_tell(tally, clock_ms(), 0, add_count, &folded);
    assert_int_equal(folded, n_failures - 1);
}

static void test_failures_are_counted_over_all_workers(void **state)
{
    (void)state;
    struct house house = {0};
    open_house(&house);
    move_out(&house);
    for (int i = 0; i < CALLERS; i++) {
        close(call(&house));
    }
    wait_for_count(house.service->connections, REASON_connect_refused, CALLERS);
    stop_workers(&house);
    assert_int_equal(tally_count(house.service->attempts, REASON_connect_refused), 2 * CALLERS);
    assert_int_equal(tally_count(house.service->attempts, REASON_ok), 0);
    expect_all_but_one_folded(house.service->connections, CALLERS);
    expect_all_but_one_folded(house.service->attempts, UINT64_C(2) * CALLERS);
    assert_int_equal(house.wakes, 2);
    service_unref(house.service);
}

static void test_ordinary_ends_are_counted_and_not_folded(void **state)
{
    (void)state;
    struct house house = {0};
    const struct linger abortive = {.l_onoff = 1};
    open_house(&house);
    for (int i = 0; i < CALLERS; i++) {
        int fd = call(&house);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &abortive, sizeof(abortive));
        close(fd);
    }
    wait_for_count(house.service->connections, REASON_caller_closed, CALLERS);
    stop_workers(&house);
    assert_int_equal(tally_tell(house.service->connections, clock_ms(), 0, add_count, NULL),
                     TALLY_NEVER);
    assert_int_equal(house.wakes, 0);
    service_unref(house.service);
}

static void test_what_the_stop_cuts_is_counted(void **state)
{
    (void)state;
    struct house house = {0};
    open_house(&house);
    int fd = call(&house);
    while (atomic_load(&house.service->open) == 0) {
        sched_yield();
    }
    stop_workers(&house);
    assert_int_equal(tally_count(house.service->connections, REASON_shutting_down), 1);
    service_unref(house.service);
    close(fd);
}

static int enter(void **state)
{
    log_configure(LEVEL_ERROR, LOG_TEXT);
    return fixture_enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_given_out_up_to_the_limit),
        cmocka_unit_test(test_a_refused_caller_takes_no_place),
        cmocka_unit_test(test_failures_are_counted_over_all_workers),
        cmocka_unit_test(test_ordinary_ends_are_counted_and_not_folded),
        cmocka_unit_test(test_what_the_stop_cuts_is_counted),
    };
    return cmocka_run_group_tests(tests, enter, fixture_leave);
}
