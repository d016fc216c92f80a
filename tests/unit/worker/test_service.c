/* A service over all workers: the counts of how its connections and attempts ended. */
#include "tests/unit/worker/house.h"

#define WORKERS 4
#define CALLERS 60

/* A service that all workers of a house share, each with a duplicate of one socket. */
struct shop {
    struct house house;
    struct account *account;
    struct addr addr; /* where it listens */
};

static void open_shop(struct shop *shop)
{
    open_house(&shop->house, WORKERS);
    shop->account = make_account("s");
    struct service *service = make_service(0, shop->account, NULL, pki.old_trust);
    int fd = open_socket(&shop->addr);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct change *change = begin_change(1);
        assert_int_equal(change_serve(change, service, false), 0);
        assert_int_equal(change_open(change, 0, 1, dup(fd), CHANGE_QUEUE_OURS), 0);
        worker_change(shop->house.workers[i], change);
    }
    close(fd);
    service_unref(service);
}

static void close_shop(struct shop *shop)
{
    stop_workers(&shop->house);
    account_unref(shop->account);
}

/* Tells all workers of two addresses at which nothing listens. */
static void move_out(struct shop *shop)
{
    struct endpoints *endpoints = endpoints_new(2);
    const char *why;
    assert_non_null(endpoints);
    for (size_t i = 0; i < endpoints->n; i++) {
        close(bind_anywhere(&endpoints->list[i].addr));
        assert_int_equal(name_from_host("127.0.0.1", &endpoints->list[i].host, &why), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        struct change *change = begin_change(0);
        assert_int_equal(change_resolve(change, 0, endpoints), 0);
        worker_change(shop->house.workers[i], change);
    }
    endpoints_unref(endpoints);
}

/* Forgets that the changes were told of. */
static void settle_quietly(struct shop *shop)
{
    settle(&shop->house);
    atomic_store(&shop->house.wakes, 0);
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
    struct shop shop = {0};
    open_shop(&shop);
    move_out(&shop);
    settle_quietly(&shop);
    for (int i = 0; i < CALLERS; i++) {
        close(call(&shop.addr));
    }
    expect_ends(shop.account, REASON_connect_refused, CALLERS);
    stop_workers(&shop.house);
    assert_int_equal(tally_count(shop.account->attempts, REASON_connect_refused), 2 * CALLERS);
    assert_int_equal(tally_count(shop.account->attempts, REASON_ok), 0);
    expect_all_but_one_folded(shop.account->connections, CALLERS);
    expect_all_but_one_folded(shop.account->attempts, UINT64_C(2) * CALLERS);
    assert_int_equal(shop.house.wakes, 2);
    assert_int_equal(shop.account->opened, CALLERS);
    close_shop(&shop);
}

static void test_the_last_failure_is_known(void **state)
{
    (void)state;
    struct shop shop = {0};
    struct failure failure;
    open_shop(&shop);
    move_out(&shop);
    assert_false(account_last_failure(shop.account, &failure));
    expect_reset(call(&shop.addr));
    expect_ends(shop.account, REASON_connect_refused, 1);
    assert_true(account_last_failure(shop.account, &failure));
    assert_int_equal(failure.reason, REASON_connect_refused);
    close_shop(&shop);
}

static void test_ordinary_ends_are_counted_and_not_folded(void **state)
{
    (void)state;
    struct shop shop = {0};
    struct failure failure;
    open_shop(&shop);
    settle_quietly(&shop);
    for (int i = 0; i < CALLERS; i++) {
        leave(call(&shop.addr));
    }
    expect_ends(shop.account, REASON_caller_closed, CALLERS);
    stop_workers(&shop.house);
    assert_int_equal(tally_tell(shop.account->connections, clock_ms(), 0, add_count, NULL),
                     TALLY_NEVER);
    assert_int_equal(shop.house.wakes, 0);
    assert_false(account_last_failure(shop.account, &failure));
    close_shop(&shop);
}

static void test_what_the_stop_cuts_is_counted(void **state)
{
    (void)state;
    struct shop shop = {0};
    open_shop(&shop);
    int fd = call(&shop.addr);
    wait_until(atomic_load(&shop.account->open) > 0);
    stop_workers(&shop.house);
    assert_int_equal(tally_count(shop.account->connections, REASON_shutting_down), 1);
    assert_int_equal(shop.account->open, 0);
    close_shop(&shop);
    close(fd);
}

/* A connection may hold the last reference to what it began with. */
static void test_a_service_holds_its_account_and_profile(void **state)
{
    (void)state;
    struct account *account = make_account("s");
    struct service *service = make_service(3, account, pki.old_identity, pki.old_trust);
    account_unref(account);
    assert_int_equal(service->id, 3);
    assert_string_equal(service->name, "s");
    assert_ptr_equal(profile_identity(service->profile), pki.old_identity);
    assert_ptr_equal(service_ref(service), service);
    assert_null(service_unref(service));
    assert_string_equal(service->account->name, "s");
    assert_null(service_unref(service));
    assert_null(service_unref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_are_counted_over_all_workers),
        cmocka_unit_test(test_the_last_failure_is_known),
        cmocka_unit_test(test_ordinary_ends_are_counted_and_not_folded),
        cmocka_unit_test(test_what_the_stop_cuts_is_counted),
        cmocka_unit_test(test_a_service_holds_its_account_and_profile),
    };
    return cmocka_run_group_tests(tests, enter_quietly, free_pki);
}
