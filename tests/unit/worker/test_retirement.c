/* Which connections a retirement ends, and when: those of an identity that was replaced or runs
 * out, those whose backend does not pass any more, and no others. The backends take either
 * identity, and their own certificate is of the CA "old". */
#include "tests/unit/worker/house.h"

#define DOOR    UINT64_C(7)
#define CALLERS 40 /* more than are judged in a turn */
#define SOON_MS 300

/* A house of one worker, a service, and a backend. */
struct bed {
    struct house house;
    struct account *account;
    struct service *service; /* as it is now */
    struct backend *backend;
    struct addr addr; /* of the door */
};

static void open_bed(struct bed *bed, struct backend_spec spec)
{
    open_house(&bed->house, 1);
    bed->account = make_account("orders");
    bed->service = make_service(0, bed->account, pki.old_identity, pki.old_trust);
    bed->backend = open_backend(spec);
    struct change *change = begin_change(1);
    assert_int_equal(change_serve(change, bed->service, false), 0);
    assert_int_equal(change_open(change, 0, DOOR, open_socket(&bed->addr), CHANGE_QUEUE_OURS), 0);
    resolve(change, 0, endpoints_at(&bed->backend->addr));
    carry_out(&bed->house, change);
}

static void open_frozen(struct bed *bed)
{
    open_bed(bed, (struct backend_spec){.takes_old = true, .takes_new = true, .is_frozen = true});
}

static void close_bed(struct bed *bed)
{
    stop_workers(&bed->house);
    close_backend(bed->backend);
    service_unref(bed->service);
    account_unref(bed->account);
}

/* A connection that is relayed. */
static int connect_through(struct bed *bed)
{
    uint64_t full = atomic_load(&bed->account->full) + atomic_load(&bed->account->resumed);
    int fd = call(&bed->addr);
    wait_until(atomic_load(&bed->account->full) + atomic_load(&bed->account->resumed) == full + 1);
    return fd;
}

/* The service goes on with another identity and other CAs. */
static void replace(struct bed *bed, struct change *change, struct identity *identity,
                    struct trust *trust)
{
    service_unref(bed->service);
    bed->service = make_service(0, bed->account, identity, trust);
    assert_int_equal(change_serve(change, bed->service, false), 0);
}

static void retire(const struct bed *bed, struct change *change, enum retirement_cause cause,
                   uint64_t end_ms, bool when_quiet)
{
    const struct retirement_terms terms = {.end_ms = end_ms, .when_quiet = when_quiet};
    struct retirement *retirement = retirement_new(cause, bed->service, terms);
    assert_non_null(retirement);
    assert_int_equal(change_retire(change, retirement), 0);
}

/* That everything which had to end by now has: the worker's timers go off in their order. */
static void wait_past(struct bed *bed, uint64_t end_ms)
{
    wait_until(clock_ms() > end_ms + 1);
    settle(&bed->house);
    settle(&bed->house);
}

static uint64_t retired(const struct bed *bed)
{
    return tally_count(bed->account->connections, REASON_retired);
}

/* ---- replaced ---- */

static void connections_of_a_replaced_identity_end_and_new_ones_stay(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int old = connect_through(&bed);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.new_identity, pki.old_trust);
    carry_out(&bed.house, change);
    int new = connect_through(&bed);
    change = begin_change(0);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms() + SOON_MS, false);
    carry_out(&bed.house, change);
    expect_reset(old);
    expect_ends(bed.account, REASON_retired, 1);
    assert_int_equal(bed.account->open, 1);
    close(new);
    close_bed(&bed);
}

static void a_quiet_connection_ends_long_before_its_time(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.new_identity, pki.old_trust);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms() + 10 * UINT64_C(3600000), true);
    carry_out(&bed.house, change);
    expect_reset(fd);
    expect_ends(bed.account, REASON_retired, 1);
    close_bed(&bed);
}

static void a_busy_connection_ends_at_its_time_at_the_latest(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    uint64_t end_ms = clock_ms() + 3 * SOON_MS;
    replace(&bed, change, pki.new_identity, pki.old_trust);
    retire(&bed, change, RETIREMENT_REPLACED, end_ms, true);
    carry_out(&bed.house, change);
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1) {
        sched_yield();
    }
    assert_true(clock_ms() >= end_ms);
    expect_ends(bed.account, REASON_retired, 1);
    close(fd);
    close_bed(&bed);
}

static void the_terms_that_were_set_first_stand(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.new_identity, pki.old_trust);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms() + SOON_MS, false);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms() + HOUSE_HANG_MS, false);
    carry_out(&bed.house, change);
    expect_reset(fd);
    close_bed(&bed);
}

static void another_service_is_not_meant(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    struct account *account = make_account("other");
    struct service *other = make_service(1, account, pki.old_identity, pki.old_trust);
    struct addr addr;
    struct change *change = begin_change(2);
    assert_int_equal(change_serve(change, other, false), 0);
    assert_int_equal(change_open(change, 1, DOOR + 1, open_socket(&addr), CHANGE_QUEUE_OURS), 0);
    resolve(change, 1, endpoints_at(&bed.backend->addr));
    carry_out(&bed.house, change);
    int theirs = call(&addr);
    wait_until(atomic_load(&account->full) == 1);
    int ours = connect_through(&bed);
    change = begin_change(0);
    replace(&bed, change, pki.new_identity, pki.old_trust);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms(), false);
    carry_out(&bed.house, change);
    expect_reset(ours);
    assert_int_equal(account->open, 1);
    close(theirs);
    service_unref(other);
    close_bed(&bed);
    account_unref(account);
}

/* ---- judged ---- */

static void connect_many(struct bed *bed, int fds[CALLERS])
{
    for (int i = 0; i < CALLERS; i++) {
        fds[i] = connect_through(bed);
    }
}

static void connections_to_a_revoked_backend_end_all_of_them(void **state)
{
    (void)state;
    struct bed bed = {0};
    int fds[CALLERS];
    open_frozen(&bed);
    connect_many(&bed, fds);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.old_identity, pki.revoking);
    retire(&bed, change, RETIREMENT_JUDGED, clock_ms() + SOON_MS, false);
    carry_out(&bed.house, change);
    for (int i = 0; i < CALLERS; i++) {
        expect_reset(fds[i]);
    }
    expect_ends(bed.account, REASON_retired, CALLERS);
    close_bed(&bed);
}

static void connections_to_a_backend_of_another_ca_end(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.old_identity, pki.new_trust);
    retire(&bed, change, RETIREMENT_JUDGED, clock_ms(), false);
    carry_out(&bed.house, change);
    expect_reset(fd);
    close_bed(&bed);
}

static void a_backend_that_still_passes_is_left_alone(void **state)
{
    (void)state;
    struct bed bed = {0};
    int fds[CALLERS];
    open_frozen(&bed);
    connect_many(&bed, fds);
    struct trust *same = load_trust(&(struct trust_source){.ca = "old.crt"});
    struct change *change = begin_change(0);
    uint64_t end_ms = clock_ms() + SOON_MS;
    replace(&bed, change, pki.old_identity, same);
    retire(&bed, change, RETIREMENT_JUDGED, end_ms, false);
    carry_out(&bed.house, change);
    wait_past(&bed, end_ms);
    assert_int_equal(retired(&bed), 0);
    assert_int_equal(bed.account->open, CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        close(fds[i]);
    }
    trust_unref(same);
    close_bed(&bed);
}

/* Two judgements in one change: who waits for the first is judged by the second alone. */
static void a_later_judgement_overtakes_an_earlier_one(void **state)
{
    (void)state;
    struct bed bed = {0};
    int fds[CALLERS];
    open_frozen(&bed);
    connect_many(&bed, fds);
    struct change *change = begin_change(0);
    uint64_t end_ms = clock_ms() + SOON_MS;
    replace(&bed, change, pki.old_identity, pki.new_trust);
    retire(&bed, change, RETIREMENT_JUDGED, end_ms, false);
    replace(&bed, change, pki.new_identity, pki.old_trust);
    retire(&bed, change, RETIREMENT_JUDGED, end_ms, false);
    carry_out(&bed.house, change);
    wait_past(&bed, end_ms);
    assert_int_equal(retired(&bed), 0);
    assert_int_equal(bed.account->open, CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        close(fds[i]);
    }
    close_bed(&bed);
}

/* Connections that end, and a worker that stops, while judgements wait. */
static void who_waits_to_be_judged_may_leave(void **state)
{
    (void)state;
    struct bed bed = {0};
    int fds[CALLERS];
    open_frozen(&bed);
    connect_many(&bed, fds);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.old_identity, pki.revoking);
    retire(&bed, change, RETIREMENT_JUDGED, clock_ms() + HOUSE_HANG_MS, false);
    worker_cut(bed.house.workers[0]);
    carry_out(&bed.house, change);
    expect_ends(bed.account, REASON_shutting_down, CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        close(fds[i]);
    }
    close_bed(&bed);
}

/* ---- expiring ---- */

static void connections_of_an_identity_that_runs_out_end(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    retire(&bed, change, RETIREMENT_EXPIRING, clock_ms() + SOON_MS, false);
    carry_out(&bed.house, change);
    expect_reset(fd);
    expect_ends(bed.account, REASON_retired, 1);
    close_bed(&bed);
}

static void an_expiry_follows_the_clock(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    retire(&bed, change, RETIREMENT_EXPIRING, clock_ms() + HOUSE_HANG_MS, false);
    retire(&bed, change, RETIREMENT_EXPIRING, clock_ms() + SOON_MS, false);
    carry_out(&bed.house, change);
    expect_reset(fd);
    close_bed(&bed);
}

static void an_expiry_is_taken_back(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    uint64_t end_ms = clock_ms() + SOON_MS;
    retire(&bed, change, RETIREMENT_EXPIRING, end_ms, false);
    retire(&bed, change, RETIREMENT_EXPIRING, UINT64_MAX, false);
    carry_out(&bed.house, change);
    wait_past(&bed, end_ms);
    assert_int_equal(bed.account->open, 1);
    close(fd);
    close_bed(&bed);
}

/* The clock was set, which ends nothing; years later the certificate is replaced. */
static void what_was_taken_back_can_be_replaced(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    retire(&bed, change, RETIREMENT_EXPIRING, UINT64_MAX, false);
    replace(&bed, change, pki.new_identity, pki.old_trust);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms() + SOON_MS, false);
    carry_out(&bed.house, change);
    expect_reset(fd);
    expect_ends(bed.account, REASON_retired, 1);
    close_bed(&bed);
}

/* A backend that was revoked is not let off because our certificate lasts longer. */
static void an_expiry_does_not_lengthen_what_a_judgement_set(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    int fd = connect_through(&bed);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.old_identity, pki.revoking);
    retire(&bed, change, RETIREMENT_JUDGED, clock_ms() + SOON_MS, false);
    carry_out(&bed.house, change);
    change = begin_change(0);
    retire(&bed, change, RETIREMENT_EXPIRING, clock_ms() + HOUSE_HANG_MS, false);
    retire(&bed, change, RETIREMENT_EXPIRING, UINT64_MAX, false);
    carry_out(&bed.house, change);
    expect_reset(fd);
    expect_ends(bed.account, REASON_retired, 1);
    close_bed(&bed);
}

/* ---- while a connection is not established yet ---- */

/* Nothing of the caller's has been sent: it begins anew with what is in use now. */
static void a_connection_that_is_being_dialled_begins_anew(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_bed(&bed, (struct backend_spec){.is_deaf = true});
    struct backend *good =
        open_backend((struct backend_spec){.takes_new = true, .is_frozen = true});
    int fd = call(&bed.addr);
    wait_until(atomic_load(&bed.backend->calls) == 1);
    struct change *change = begin_change(0);
    replace(&bed, change, pki.new_identity, pki.old_trust);
    resolve(change, 0, endpoints_at(&good->addr));
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms(), false);
    carry_out(&bed.house, change);
    wait_until(atomic_load(&bed.account->full) == 1);
    settle(&bed.house);
    assert_int_equal(retired(&bed), 0);
    assert_int_equal(bed.account->open, 1);
    close(fd);
    stop_workers(&bed.house);
    close_backend(good);
    close_bed(&bed);
}

/* A reload that changes the certificate and the address: the new one is not known yet. */
static void a_connection_that_is_dialled_waits_when_its_service_moves(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_bed(&bed, (struct backend_spec){.is_deaf = true});
    struct backend *good = open_backend(
        (struct backend_spec){.takes_old = true, .takes_new = true, .is_frozen = true});
    int fd = call(&bed.addr);
    wait_until(atomic_load(&bed.backend->calls) == 1);
    struct change *change = begin_change(0);
    service_unref(bed.service);
    bed.service = make_service(0, bed.account, pki.new_identity, pki.old_trust);
    assert_int_equal(change_serve(change, bed.service, true), 0);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms() + HOUSE_HANG_MS, false);
    carry_out(&bed.house, change);
    assert_int_equal(bed.account->open, 1);
    change = begin_change(0);
    resolve(change, 0, endpoints_at(&good->addr));
    carry_out(&bed.house, change);
    wait_until(atomic_load(&bed.account->full) == 1);
    assert_int_equal(bed.account->open, 1);
    close(fd);
    stop_workers(&bed.house);
    close_backend(good);
    close_bed(&bed);
}

static void who_waits_for_endpoints_is_not_retired(void **state)
{
    (void)state;
    struct bed bed = {0};
    open_frozen(&bed);
    struct change *change = begin_change(0);
    assert_int_equal(change_serve(change, bed.service, true), 0);
    carry_out(&bed.house, change);
    int fd = call(&bed.addr);
    wait_until(atomic_load(&bed.account->open) == 1);
    change = begin_change(0);
    replace(&bed, change, pki.new_identity, pki.new_trust);
    retire(&bed, change, RETIREMENT_REPLACED, clock_ms(), false);
    retire(&bed, change, RETIREMENT_JUDGED, clock_ms(), false);
    retire(&bed, change, RETIREMENT_EXPIRING, clock_ms(), false);
    carry_out(&bed.house, change);
    settle(&bed.house);
    assert_int_equal(bed.account->open, 1);
    close(fd);
    close_bed(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_of_a_replaced_identity_end_and_new_ones_stay),
        cmocka_unit_test(a_quiet_connection_ends_long_before_its_time),
        cmocka_unit_test(a_busy_connection_ends_at_its_time_at_the_latest),
        cmocka_unit_test(the_terms_that_were_set_first_stand),
        cmocka_unit_test(another_service_is_not_meant),
        cmocka_unit_test(connections_to_a_revoked_backend_end_all_of_them),
        cmocka_unit_test(connections_to_a_backend_of_another_ca_end),
        cmocka_unit_test(a_backend_that_still_passes_is_left_alone),
        cmocka_unit_test(a_later_judgement_overtakes_an_earlier_one),
        cmocka_unit_test(who_waits_to_be_judged_may_leave),
        cmocka_unit_test(connections_of_an_identity_that_runs_out_end),
        cmocka_unit_test(an_expiry_follows_the_clock),
        cmocka_unit_test(an_expiry_is_taken_back),
        cmocka_unit_test(what_was_taken_back_can_be_replaced),
        cmocka_unit_test(an_expiry_does_not_lengthen_what_a_judgement_set),
        cmocka_unit_test(a_connection_that_is_being_dialled_begins_anew),
        cmocka_unit_test(a_connection_that_is_dialled_waits_when_its_service_moves),
        cmocka_unit_test(who_waits_for_endpoints_is_not_retired),
    };
    return cmocka_run_group_tests(tests, enter_quietly, free_pki);
}
