/* What a worker does with a change: doors that open, move and close under callers, services that
 * come, change and go, and who waits meanwhile. */
#include <pthread.h>

#include "tests/unit/worker/house.h"

#define QUEUED 20
#define CALLS  100
#define DOOR   UINT64_C(7)

/* A house of one worker with two services, 0 and 1, that share a trust and nothing else. */
struct street {
    struct house house;
    struct account *accounts[2];
    struct service *services[2];
    struct addr addr; /* of the door that a test opens */
};

static int set_up(void **state)
{
    struct street *street = calloc(1, sizeof(*street));
    assert_non_null(street);
    open_house(&street->house, 1);
    for (size_t i = 0; i < 2; i++) {
        street->accounts[i] = make_account(i == 0 ? "first" : "second");
        street->services[i] = make_service(i, street->accounts[i], NULL, pki.old_trust);
    }
    *state = street;
    return 0;
}

static int tear_down(void **state)
{
    struct street *street = *state;
    stop_workers(&street->house);
    for (size_t i = 0; i < 2; i++) {
        service_unref(street->services[i]);
        account_unref(street->accounts[i]);
    }
    free(street);
    return 0;
}

/* A change that begins to serve both services. */
static struct change *serve_both(const struct street *street)
{
    struct change *change = begin_change(2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(change_serve(change, street->services[i], false), 0);
    }
    return change;
}

/* Adds the door, with those who knocked before. */
static void open_to(struct street *street, struct change *change, size_t id,
                    enum change_queue queue)
{
    assert_int_equal(change_open(change, id, DOOR, open_socket(&street->addr), queue), 0);
}

/* The first service is served at the door, and nowhere else. */
static void open_first(struct street *street, struct endpoints *endpoints)
{
    struct change *change = serve_both(street);
    open_to(street, change, 0, CHANGE_QUEUE_OURS);
    if (endpoints != NULL) {
        resolve(change, 0, endpoints);
    }
    carry_out(&street->house, change);
}

static void expect_opened(const struct street *street, uint64_t first, uint64_t second)
{
    assert_int_equal(street->accounts[0]->opened, first);
    assert_int_equal(street->accounts[1]->opened, second);
}

/* ---- doors ---- */

static void a_door_leads_to_its_service(void **state)
{
    struct street *street = *state;
    open_first(street, endpoints_nowhere());
    expect_reset(call(&street->addr));
    expect_ends(street->accounts[0], REASON_connect_refused, 1);
    expect_opened(street, 1, 0);
}

static void a_door_that_moves_leads_to_the_other(void **state)
{
    struct street *street = *state;
    open_first(street, endpoints_nowhere());
    expect_reset(call(&street->addr));
    struct change *change = begin_change(0);
    assert_int_equal(change_move(change, 1, DOOR), 0);
    resolve(change, 1, endpoints_nowhere());
    carry_out(&street->house, change);
    expect_reset(call(&street->addr));
    expect_ends(street->accounts[1], REASON_connect_refused, 1);
    expect_opened(street, 1, 1);
}

/* One after the other, until the second service has taken in some. */
static void *keep_calling(void *ctx)
{
    const struct street *street = ctx;
    uint64_t n = 0;
    while (atomic_load(&street->accounts[1]->opened) < CALLS) {
        expect_reset(call(&street->addr));
        n++;
    }
    return (void *)(uintptr_t)n;
}

/* The old owner of the door is removed in the same change. */
static void nobody_is_lost_while_a_door_moves(void **state)
{
    struct street *street = *state;
    pthread_t caller;
    void *calls;
    open_first(street, endpoints_nowhere());
    assert_int_equal(pthread_create(&caller, NULL, keep_calling, street), 0);
    wait_until(atomic_load(&street->accounts[0]->opened) >= CALLS);
    struct change *change = begin_change(0);
    resolve(change, 1, endpoints_nowhere());
    assert_int_equal(change_move(change, 1, DOOR), 0);
    assert_int_equal(change_remove(change, 0), 0);
    carry_out(&street->house, change);
    pthread_join(caller, &calls);
    uint64_t first = street->accounts[0]->opened, second = street->accounts[1]->opened;
    assert_int_equal(first + second, (uintptr_t)calls);
    expect_ends(street->accounts[0], REASON_connect_refused, first);
    expect_ends(street->accounts[1], REASON_connect_refused, second);
}

/* Callers who knock before the worker has heard of the door. */
static void knock(const struct street *street, int fds[QUEUED])
{
    for (int i = 0; i < QUEUED; i++) {
        fds[i] = call(&street->addr);
    }
}

static void closing_takes_in_who_is_queued(void **state)
{
    struct street *street = *state;
    int fds[QUEUED];
    struct change *change = serve_both(street);
    open_to(street, change, 0, CHANGE_QUEUE_OURS);
    assert_int_equal(change_close(change, DOOR), 0);
    knock(street, fds);
    carry_out(&street->house, change);
    assert_int_equal(street->accounts[0]->open, QUEUED);
    change = begin_change(0);
    resolve(change, 0, endpoints_nowhere());
    carry_out(&street->house, change);
    for (int i = 0; i < QUEUED; i++) {
        expect_reset(fds[i]);
    }
    expect_ends(street->accounts[0], REASON_connect_refused, QUEUED);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &street->addr.sa, street->addr.len), -1);
    close(fd);
}

static void a_lent_socket_keeps_its_queue(void **state)
{
    struct street *street = *state;
    int fds[QUEUED];
    struct change *change = serve_both(street);
    int lent = open_socket(&street->addr);
    assert_int_equal(change_open(change, 0, DOOR, dup(lent), CHANGE_QUEUE_LENT), 0);
    assert_int_equal(change_close(change, DOOR), 0);
    knock(street, fds);
    carry_out(&street->house, change);
    expect_opened(street, 0, 0);
    for (int i = 0; i < QUEUED; i++) {
        int taken = accept(lent, NULL, NULL);
        assert_true(taken >= 0);
        close(taken);
        close(fds[i]);
    }
    close(lent);
}

static void draining_leaves_the_queue_of_a_lent_socket_too(void **state)
{
    struct street *street = *state;
    struct change *change = serve_both(street);
    int lent = open_socket(&street->addr);
    int fd = call(&street->addr);
    assert_int_equal(change_open(change, 0, DOOR, dup(lent), CHANGE_QUEUE_LENT), 0);
    worker_drain(street->house.workers[0]);
    carry_out(&street->house, change);
    wait_until(worker_is_drained(street->house.workers[0]));
    expect_opened(street, 0, 0);
    close(accept(lent, NULL, NULL));
    close(fd);
    close(lent);
}

static void a_door_that_was_never_opened_can_be_closed_and_moved(void **state)
{
    struct street *street = *state;
    struct change *change = serve_both(street);
    assert_int_equal(change_move(change, 1, DOOR), 0);
    assert_int_equal(change_close(change, DOOR), 0);
    carry_out(&street->house, change);
    expect_opened(street, 0, 0);
}

static void a_door_may_be_opened_anew_before_it_is_closed(void **state)
{
    struct street *street = *state;
    open_first(street, endpoints_nowhere());
    struct addr before = street->addr;
    struct change *change = begin_change(0);
    assert_int_equal(change_open(change, 0, DOOR + 1, open_socket(&street->addr),
                                 CHANGE_QUEUE_OURS),
                     0);
    assert_int_equal(change_close(change, DOOR), 0);
    carry_out(&street->house, change);
    expect_reset(call(&street->addr));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &before.sa, before.len), -1);
    close(fd);
}

/* ---- services ---- */

static void who_waits_is_turned_away_when_the_service_is_removed(void **state)
{
    struct street *street = *state;
    open_first(street, NULL);
    int fds[2] = {call(&street->addr), call(&street->addr)};
    wait_until(atomic_load(&street->accounts[0]->open) == 2);
    struct change *change = begin_change(0);
    assert_int_equal(change_close(change, DOOR), 0);
    assert_int_equal(change_remove(change, 0), 0);
    carry_out(&street->house, change);
    expect_reset(fds[0]);
    expect_reset(fds[1]);
    expect_ends(street->accounts[0], REASON_dns_failed, 2);
    assert_int_equal(street->accounts[0]->open, 0);
}

static void an_answer_for_a_service_that_is_gone_is_dropped(void **state)
{
    struct street *street = *state;
    open_first(street, NULL);
    struct change *change = begin_change(0);
    assert_int_equal(change_close(change, DOOR), 0);
    assert_int_equal(change_remove(change, 0), 0);
    resolve(change, 0, endpoints_nowhere());
    carry_out(&street->house, change);
    /* Its place is free for another. */
    change = begin_change(0);
    assert_int_equal(change_serve(change, street->services[0], false), 0);
    open_to(street, change, 0, CHANGE_QUEUE_OURS);
    carry_out(&street->house, change);
    int fd = call(&street->addr);
    wait_until(atomic_load(&street->accounts[0]->open) == 1);
    close(fd);
}

static void a_table_that_grows_keeps_who_is_in_it(void **state)
{
    struct street *street = *state;
    open_first(street, endpoints_nowhere());
    struct account *account = make_account("far");
    struct service *far = make_service(999, account, NULL, pki.old_trust);
    struct change *change = begin_change(1000);
    struct addr near = street->addr;
    assert_int_equal(change_serve(change, far, false), 0);
    assert_int_equal(change_open(change, 999, DOOR + 1, open_socket(&street->addr),
                                 CHANGE_QUEUE_OURS),
                     0);
    resolve(change, 999, endpoints_nowhere());
    carry_out(&street->house, change);
    expect_reset(call(&street->addr));
    expect_reset(call(&near));
    expect_ends(account, REASON_connect_refused, 1);
    expect_ends(street->accounts[0], REASON_connect_refused, 1);
    carry_out(&street->house, begin_change(2)); /* never smaller */
    expect_reset(call(&street->addr));
    service_unref(far);
    stop_workers(&street->house);
    account_unref(account);
}

/* A service that has moved to other backends does not send anyone to the old ones. */
static void who_comes_to_a_service_that_is_elsewhere_waits(void **state)
{
    struct street *street = *state;
    open_first(street, endpoints_nowhere());
    expect_reset(call(&street->addr));
    struct change *change = begin_change(0);
    assert_int_equal(change_serve(change, street->services[0], true), 0);
    carry_out(&street->house, change);
    int fd = call(&street->addr);
    wait_until(atomic_load(&street->accounts[0]->open) == 1);
    assert_int_equal(tally_count(street->accounts[0]->attempts, REASON_connect_refused), 1);
    change = begin_change(0);
    resolve(change, 0, endpoints_nowhere());
    carry_out(&street->house, change);
    expect_reset(fd);
    expect_ends(street->accounts[0], REASON_connect_refused, 2);
}

static void a_service_that_changes_in_place_keeps_its_endpoints(void **state)
{
    struct street *street = *state;
    open_first(street, endpoints_nowhere());
    struct change *change = begin_change(0);
    struct service *service = make_service(0, street->accounts[0], NULL, pki.new_trust);
    assert_int_equal(change_serve(change, service, false), 0);
    carry_out(&street->house, change);
    service_unref(service);
    expect_reset(call(&street->addr));
    expect_ends(street->accounts[0], REASON_connect_refused, 1);
}

/* The old one presents nothing; the backend asks for a certificate. */
static void who_waits_begins_with_what_the_service_is_by_then(void **state)
{
    struct street *street = *state;
    struct backend *backend =
        open_backend((struct backend_spec){.takes_new = true, .is_frozen = true});
    open_first(street, NULL);
    int fd = call(&street->addr);
    wait_until(atomic_load(&street->accounts[0]->open) == 1);
    struct service *service = make_service(0, street->accounts[0], pki.new_identity, pki.old_trust);
    struct change *change = begin_change(0);
    assert_int_equal(change_serve(change, service, false), 0);
    resolve(change, 0, endpoints_at(&backend->addr));
    carry_out(&street->house, change);
    service_unref(service);
    wait_until(atomic_load(&street->accounts[0]->full) == 1);
    close(fd);
    stop_workers(&street->house);
    close_backend(backend);
}

static void the_limit_is_the_new_services(void **state)
{
    struct street *street = *state;
    open_first(street, NULL);
    int fds[2] = {call(&street->addr), call(&street->addr)};
    wait_until(atomic_load(&street->accounts[0]->open) == 2);
    struct service *service = make_service(0, street->accounts[0], NULL, pki.old_trust);
    service->max_connections = 1;
    struct change *change = begin_change(0);
    assert_int_equal(change_serve(change, service, false), 0);
    carry_out(&street->house, change);
    service_unref(service);
    expect_reset(call(&street->addr));
    expect_ends(street->accounts[0], REASON_limit_reached, 1);
    assert_int_equal(street->accounts[0]->open, 2);
    close(fds[0]);
    close(fds[1]);
}

/* ---- a change itself ---- */

static void fill(struct change *change, struct service *service)
{
    struct addr addr;
    const struct retirement_terms terms = {.end_ms = UINT64_MAX};
    assert_int_equal(change_serve(change, service, true), 0);
    assert_int_equal(change_open(change, 0, DOOR, open_socket(&addr), CHANGE_QUEUE_OURS), 0);
    assert_int_equal(change_move(change, 0, DOOR), 0);
    resolve(change, 0, endpoints_nowhere());
    assert_int_equal(change_retire(change, retirement_new(RETIREMENT_REPLACED, service, terms)), 0);
    assert_int_equal(change_close(change, DOOR), 0);
    assert_int_equal(change_remove(change, 0), 0);
}

static void a_change_that_is_not_sent_leaves_nothing_open(void **state)
{
    struct street *street = *state;
    size_t before = count_fds();
    for (int i = 0; i < 10; i++) {
        struct change *change = begin_change(5);
        fill(change, street->services[0]);
        assert_int_equal(count_fds(), before + 1);
        assert_null(change_free(change));
        assert_int_equal(count_fds(), before);
    }
    assert_null(change_free(NULL));
}

static void a_change_that_is_carried_out_leaves_nothing_open(void **state)
{
    struct street *street = *state;
    size_t before = count_fds();
    for (int i = 0; i < 10; i++) {
        struct change *change = begin_change(5);
        fill(change, street->services[0]);
        carry_out(&street->house, change);
        assert_int_equal(count_fds(), before);
    }
}

static void mail_that_a_worker_never_read_is_freed_with_it(void **state)
{
    struct street *street = *state;
    size_t before = count_fds();
    for (int i = 0; i < 20; i++) {
        struct house house;
        open_house(&house, 2);
        for (unsigned k = 0; k < house.n; k++) {
            struct change *change = begin_change(1);
            fill(change, street->services[0]);
            worker_change(house.workers[k], change);
        }
        stop_workers(&house);
    }
    assert_int_equal(count_fds(), before);
}

#define street_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        street_test(a_door_leads_to_its_service),
        street_test(a_door_that_moves_leads_to_the_other),
        street_test(nobody_is_lost_while_a_door_moves),
        street_test(closing_takes_in_who_is_queued),
        street_test(a_lent_socket_keeps_its_queue),
        street_test(draining_leaves_the_queue_of_a_lent_socket_too),
        street_test(a_door_that_was_never_opened_can_be_closed_and_moved),
        street_test(a_door_may_be_opened_anew_before_it_is_closed),
        street_test(who_waits_is_turned_away_when_the_service_is_removed),
        street_test(an_answer_for_a_service_that_is_gone_is_dropped),
        street_test(a_table_that_grows_keeps_who_is_in_it),
        street_test(who_comes_to_a_service_that_is_elsewhere_waits),
        street_test(a_service_that_changes_in_place_keeps_its_endpoints),
        street_test(who_waits_begins_with_what_the_service_is_by_then),
        street_test(the_limit_is_the_new_services),
        street_test(a_change_that_is_not_sent_leaves_nothing_open),
        street_test(a_change_that_is_carried_out_leaves_nothing_open),
        street_test(mail_that_a_worker_never_read_is_freed_with_it),
    };
    return cmocka_run_group_tests(tests, enter_quietly, free_pki);
}
