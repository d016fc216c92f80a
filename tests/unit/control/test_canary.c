/* Trials of a new identity or new CAs against backends in threads. The old identity is of the CA
 * "old", the new one of the CA "new"; the backends' own certificates are of "old". */
#include "base/clock.h"
#include "control/canary.h"

#include <poll.h>

#include "tests/unit/control/backend.h"

#define TRIALS_MAX   100
#define SHORT_MS     300
#define PATIENT_MS   2000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the trials ---- */

struct bed {
    uv_loop_t loop;
    struct account *account;
    struct service *old, *new;
    struct canary *canary;
    struct canary_trial results[TRIALS_MAX];
    size_t n_results;
    _Atomic(int) is_done;
};

static struct service *make_service(const struct bed *bed, struct identity *identity,
                                    struct trust *trust)
{
    const char *why;
    const struct profile_options options = {.identity = identity,
                                            .trust = trust,
                                            .tls_min = 12,
                                            .tls_max = 13};
    struct profile *profile = profile_new(&options, &why);
    assert_non_null(profile);
    struct service *service = service_new(0, profile, bed->account);
    assert_non_null(service);
    profile_unref(profile);
    service->connect_timeout_ms = BACKEND_WAIT_MS;
    service->handshake_timeout_ms = BACKEND_WAIT_MS;
    return service;
}

/* Another identity: of the CA "new". */
static int set_up(void **state)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    assert_non_null(bed);
    assert_int_equal(uv_loop_init(&bed->loop), 0);
    bed->account = account_new("orders");
    assert_non_null(bed->account);
    bed->old = make_service(bed, pki.old_identity, pki.old_trust);
    bed->new = make_service(bed, pki.new_identity, pki.old_trust);
    *state = bed;
    return 0;
}

/* Only when all has been given back can the loop be closed. */
static int tear_down(void **state)
{
    struct bed *bed = *state;
    canary_cancel(bed->canary);
    service_unref(bed->old);
    service_unref(bed->new);
    account_unref(bed->account);
    uv_run(&bed->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&bed->loop);
    free(bed);
    return rc;
}

static void use_new(struct bed *bed, struct identity *identity, struct trust *trust)
{
    service_unref(bed->new);
    bed->new = make_service(bed, identity, trust);
}

static struct endpoints *endpoints_at(const struct addr *const addrs[], size_t n)
{
    struct endpoints *endpoints = endpoints_new(n);
    const char *why;
    assert_non_null(endpoints);
    for (size_t i = 0; i < n; i++) {
        endpoints->list[i].addr = *addrs[i];
        assert_int_equal(name_from_host(BACKEND_HOST, &endpoints->list[i].host, &why), 0);
    }
    return endpoints;
}

static void on_done(void *ctx, struct canary_trial *trials, size_t n)
{
    struct bed *bed = ctx;
    assert_false(bed->is_done);
    bed->is_done = true;
    bed->n_results = n;
    memcpy(bed->results, trials, n * sizeof(*trials));
    bed->canary = canary_cancel(bed->canary);
}

/* Begins as many trials of the same addresses, which may be NULL. */
static void begin(struct bed *bed, struct endpoints *endpoints, size_t n, bool is_required)
{
    struct canary_trial trials[TRIALS_MAX];
    assert_true(n <= TRIALS_MAX);
    for (size_t i = 0; i < n; i++) {
        trials[i] = (struct canary_trial){.old = bed->old,
                                          .new = bed->new,
                                          .endpoints = endpoints,
                                          .is_required = is_required};
    }
    bed->canary = canary_start(&bed->loop, trials, n, on_done, bed);
    assert_non_null(bed->canary);
    assert_false(bed->is_done);
    endpoints_unref(endpoints);
}

static void begin_at(struct bed *bed, const struct backend *backend)
{
    begin(bed, endpoints_at((const struct addr *[]){&backend->addr}, 1), 1, false);
}

/* Turns the loop until `*count` is `wanted`. */
static void turn_until(struct bed *bed, const _Atomic(int) *count, int wanted)
{
    uint64_t limit = clock_ms() + BACKEND_WAIT_MS;
    while (*count < wanted) {
        assert_true(clock_ms() < limit);
        uv_run(&bed->loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 1);
    }
}

static const struct canary_trial *conclude(struct bed *bed)
{
    turn_until(bed, &bed->is_done, true);
    return &bed->results[0];
}

static const struct canary_trial *try_at(struct bed *bed, const struct backend *backend)
{
    begin_at(bed, backend);
    return conclude(bed);
}

static void expect_detail(const struct canary_trial *trial, const char *part)
{
    if (strstr(trial->failure.detail, part) == NULL) {
        fail_msg("no \"%s\" in \"%s\"", part, trial->failure.detail);
    }
}

/* ---- one backend ---- */

static void test_a_backend_that_takes_both_is_passed(void **state)
{
    struct bed *bed = *state;
    struct backend *backend =
        open_backend((struct backend_spec){.takes_old = true, .takes_new = true});
    const struct canary_trial *trial = try_at(bed, backend);
    assert_int_equal(trial->verdict, CANARY_PASSED);
    assert_int_equal(trial->failure.reason, REASON_ok);
    assert_true(addr_equal(&trial->addr, &backend->addr));
    assert_int_equal(backend->calls, 1);
    close_backend(backend);
}

/* Then no word is waited for: these never give one. */
static void test_tls_1_2_and_backends_that_do_not_ask_accept_at_once(void **state)
{
    const struct backend_spec specs[] = {{.priority = BACKEND_TLS12, .takes_new = true},
                                         {.priority = BACKEND_TLS12, .asks_not = true},
                                         {.asks_not = true}};
    struct bed *bed = *state;
    for (size_t i = 0; i < COUNT(specs); i++) {
        struct backend_spec spec = specs[i];
        spec.is_mute = spec.is_frozen = true;
        struct backend *backend = open_backend(spec);
        bed->is_done = false;
        begin(bed, endpoints_at((const struct addr *[]){&backend->addr}, 1), 1, true);
        assert_int_equal(conclude(bed)->verdict, CANARY_PASSED);
        close_backend(backend);
    }
}

static void test_a_backend_hears_a_goodbye(void **state)
{
    const struct backend_spec specs[] = {{.takes_new = true},
                                         {.priority = BACKEND_TLS12, .takes_new = true},
                                         {.asks_not = true}};
    struct bed *bed = *state;
    for (size_t i = 0; i < COUNT(specs); i++) {
        struct backend *backend = open_backend(specs[i]);
        bed->is_done = false;
        try_at(bed, backend);
        turn_until(bed, &backend->goodbyes, 1);
        close_backend(backend);
    }
}

/* TLS 1.3 tells it only behind the handshake. */
static void test_the_new_is_refused_where_the_old_is_taken(void **state)
{
    const char *const priorities[] = {BACKEND_TLS13, BACKEND_TLS12};
    struct bed *bed = *state;
    for (size_t i = 0; i < COUNT(priorities); i++) {
        struct backend *backend =
            open_backend((struct backend_spec){.priority = priorities[i], .takes_old = true});
        bed->is_done = false;
        const struct canary_trial *trial = try_at(bed, backend);
        assert_int_equal(trial->verdict, CANARY_REFUSED);
        assert_int_equal(trial->failure.reason, REASON_client_cert_untrusted);
        assert_true(trial->failure.by_peer);
        expect_detail(trial, "CN=old");
        assert_true(addr_equal(&trial->addr, &backend->addr));
        assert_int_equal(backend->calls, 2);
        turn_until(bed, &backend->goodbyes, 1);
        close_backend(backend);
    }
}

static void test_new_cas_that_do_not_verify_the_backend_are_refused(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.takes_old = true});
    use_new(bed, pki.old_identity, pki.new_trust);
    const struct canary_trial *trial = try_at(bed, backend);
    assert_int_equal(trial->verdict, CANARY_REFUSED);
    assert_int_equal(trial->failure.reason, REASON_cert_untrusted);
    assert_false(trial->failure.by_peer);
    close_backend(backend);
}

static void test_no_identity_is_refused_where_one_is_demanded(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.takes_old = true});
    use_new(bed, NULL, pki.old_trust);
    const struct canary_trial *trial = try_at(bed, backend);
    assert_int_equal(trial->verdict, CANARY_REFUSED);
    assert_int_equal(trial->failure.reason, REASON_client_cert_required);
    close_backend(backend);
}

static void test_where_neither_is_taken_the_new_is_no_worse(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){0});
    const struct canary_trial *trial = try_at(bed, backend);
    assert_int_equal(trial->verdict, CANARY_NO_WORSE);
    assert_int_equal(trial->failure.reason, REASON_client_cert_untrusted);
    assert_int_equal(backend->calls, 2);
    close_backend(backend);
}

static void test_to_refuse_what_is_revoked_is_what_a_crl_is_for(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.takes_old = true});
    use_new(bed, pki.old_identity, pki.revoking);
    const struct canary_trial *trial = try_at(bed, backend);
    assert_int_equal(trial->verdict, CANARY_PASSED);
    assert_int_equal(trial->failure.reason, REASON_cert_revoked);
    assert_int_equal(backend->calls, 1);
    close_backend(backend);
}

static void test_a_backend_that_leaves_before_its_word_refuses_both(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){
        .takes_old = true, .takes_new = true, .is_mute = true, .just_leaves = true});
    const struct canary_trial *trial = try_at(bed, backend);
    assert_int_equal(trial->verdict, CANARY_NO_WORSE);
    assert_int_equal(trial->failure.reason, REASON_upstream_reset);
    close_backend(backend);
}

/* ---- silence ---- */

static void test_without_tickets_the_answer_to_our_goodbye_is_the_word(void **state)
{
    struct bed *bed = *state;
    struct backend *backend =
        open_backend((struct backend_spec){.takes_new = true, .is_mute = true});
    begin(bed, endpoints_at((const struct addr *[]){&backend->addr}, 1), 1, true);
    const struct canary_trial *trial = conclude(bed);
    assert_int_equal(trial->verdict, CANARY_PASSED);
    assert_int_equal(trial->failure.reason, REASON_ok);
    close_backend(backend);
}

static void test_who_is_silent_passes_unless_it_must_accept(void **state)
{
    struct bed *bed = *state;
    for (int is_required = 0; is_required <= 1; is_required++) {
        struct backend *backend = open_backend(
            (struct backend_spec){.takes_new = true, .is_mute = true, .is_frozen = true});
        bed->is_done = false;
        begin(bed, endpoints_at((const struct addr *[]){&backend->addr}, 1), 1, is_required);
        const struct canary_trial *trial = conclude(bed);
        assert_int_equal(trial->verdict, is_required ? CANARY_UNKNOWN : CANARY_PASSED);
        expect_detail(trial, "has not said");
        close_backend(backend);
    }
}

static void test_without_tickets_a_refusal_is_heard(void **state)
{
    struct bed *bed = *state;
    struct backend *backend =
        open_backend((struct backend_spec){.takes_old = true, .is_mute = true});
    assert_int_equal(try_at(bed, backend)->verdict, CANARY_REFUSED);
    close_backend(backend);
}

static void test_who_does_not_speak_tls_in_time_tells_nothing(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.is_deaf = true});
    bed->new->handshake_timeout_ms = SHORT_MS;
    const struct canary_trial *trial = try_at(bed, backend);
    assert_int_equal(trial->verdict, CANARY_UNKNOWN);
    assert_int_equal(trial->failure.reason, REASON_handshake_timeout);
    assert_int_equal(backend->calls, 1);
    close_backend(backend);
}

/* ---- addresses ---- */

/* One at which nothing listens, for as long as the descriptor is open. */
static int reserve(struct addr *ret_addr)
{
    struct backend nobody = {0};
    listen_anywhere(&nobody);
    *ret_addr = nobody.addr;
    return nobody.listener;
}

static void test_a_backend_that_is_down_tells_nothing(void **state)
{
    struct bed *bed = *state;
    struct addr down;
    int reserved = reserve(&down);
    begin(bed, endpoints_at((const struct addr *[]){&down}, 1), 1, false);
    const struct canary_trial *trial = conclude(bed);
    assert_int_equal(trial->verdict, CANARY_UNKNOWN);
    assert_int_equal(trial->failure.reason, REASON_connect_refused);
    assert_true(addr_equal(&trial->addr, &down));
    close(reserved);
}

static void test_a_connection_takes_the_time_that_the_service_gives(void **state)
{
    struct bed *bed = *state;
    struct addr full;
    int listener = reserve(&full), fillers[8];
    assert_int_equal(listen(listener, 0), 0);
    for (size_t i = 0; i < COUNT(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], &full.sa, full.len);
    }
    bed->new->connect_timeout_ms = SHORT_MS;
    begin(bed, endpoints_at((const struct addr *[]){&full}, 1), 1, false);
    const struct canary_trial *trial = conclude(bed);
    assert_int_equal(trial->verdict, CANARY_UNKNOWN);
    assert_int_equal(trial->failure.reason, REASON_connect_timeout);
    for (size_t i = 0; i < COUNT(fillers); i++) {
        close(fillers[i]);
    }
    close(listener);
}

static void test_an_address_that_cannot_be_reached_at_all(void **state)
{
    struct bed *bed = *state;
    struct addr nowhere;
    assert_int_equal(addr_from_path("no-such-socket", &nowhere), 0);
    begin(bed, endpoints_at((const struct addr *[]){&nowhere}, 1), 1, false);
    assert_int_equal(conclude(bed)->verdict, CANARY_UNKNOWN);
}

static void test_without_an_address_nothing_is_known(void **state)
{
    struct bed *bed = *state;
    for (int is_empty = 0; is_empty <= 1; is_empty++) {
        bed->is_done = false;
        begin(bed, is_empty ? endpoints_new(0) : NULL, 3, false);
        const struct canary_trial *trials = conclude(bed);
        assert_int_equal(bed->n_results, 3);
        assert_int_equal(trials[2].verdict, CANARY_UNKNOWN);
        assert_int_equal(trials[2].failure.reason, REASON_dns_failed);
        assert_int_equal(trials[2].addr.len, 0);
    }
}

static void test_no_trial_is_done_too(void **state)
{
    struct bed *bed = *state;
    begin(bed, NULL, 0, false);
    conclude(bed);
    assert_int_equal(bed->n_results, 0);
}

/* To be lost at one address is enough, and the order of the addresses is nobody's choice. */
static void test_a_refusal_counts_before_and_behind_an_acceptance(void **state)
{
    struct bed *bed = *state;
    struct backend *both =
        open_backend((struct backend_spec){.takes_old = true, .takes_new = true});
    struct backend *strict = open_backend((struct backend_spec){.takes_old = true});
    const struct addr *orders[][2] = {{&both->addr, &strict->addr}, {&strict->addr, &both->addr}};
    for (size_t i = 0; i < COUNT(orders); i++) {
        for (int is_required = 0; is_required < 2; is_required++) {
            bed->is_done = false;
            begin(bed, endpoints_at(orders[i], 2), 1, is_required);
            const struct canary_trial *trial = conclude(bed);
            assert_int_equal(trial->verdict, CANARY_REFUSED);
            assert_true(addr_equal(&trial->addr, &strict->addr));
        }
    }
    close_backend(both);
    close_backend(strict);
}

static void test_the_first_address_that_can_tell_decides(void **state)
{
    struct bed *bed = *state;
    struct addr down;
    int reserved = reserve(&down);
    struct backend *deaf = open_backend((struct backend_spec){.is_deaf = true});
    struct backend *neither = open_backend((struct backend_spec){0});
    struct backend *strict = open_backend((struct backend_spec){.takes_old = true});
    struct backend *good = open_backend((struct backend_spec){.takes_new = true});
    bed->new->handshake_timeout_ms = PATIENT_MS;

    begin(bed,
          endpoints_at((const struct addr *[]){&down, &deaf->addr, &neither->addr, &strict->addr,
                                               &good->addr},
                       5),
          1, false);
    const struct canary_trial *trial = conclude(bed);
    assert_int_equal(trial->verdict, CANARY_REFUSED);
    assert_true(addr_equal(&trial->addr, &strict->addr));
    assert_int_equal(good->calls, 0);

    bed->is_done = false;
    begin(bed, endpoints_at((const struct addr *[]){&neither->addr, &good->addr}, 2), 1, false);
    assert_int_equal(conclude(bed)->verdict, CANARY_PASSED);

    bed->is_done = false;
    begin(bed, endpoints_at((const struct addr *[]){&neither->addr, &down}, 2), 1, false);
    trial = conclude(bed);
    assert_int_equal(trial->verdict, CANARY_NO_WORSE);
    assert_true(addr_equal(&trial->addr, &neither->addr));

    close_backend(deaf);
    close_backend(neither);
    close_backend(strict);
    close_backend(good);
    close(reserved);
}

/* ---- many ---- */

/* Our sockets that lead to the backend, or are about to. */
static int sockets_to(const struct addr *backend)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++) {
        struct addr peer = {.len = sizeof(peer.un)};
        n += getpeername(fd, &peer.sa, &peer.len) == 0 && addr_equal(&peer, backend);
    }
    return n;
}

static void test_many_trials_take_turns(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.takes_new = true});
    begin(bed, endpoints_at((const struct addr *[]){&backend->addr}, 1), TRIALS_MAX, false);
    assert_int_equal(sockets_to(&backend->addr), 64);
    const struct canary_trial *trials = conclude(bed);
    assert_int_equal(bed->n_results, TRIALS_MAX);
    for (size_t i = 0; i < TRIALS_MAX; i++) {
        assert_int_equal(trials[i].verdict, CANARY_PASSED);
    }
    assert_int_equal(backend->calls, TRIALS_MAX);
    close_backend(backend);
}

/* The longest of all deadlines is that of the whole. */
static void find_patience(uv_handle_t *handle, void *arg)
{
    uv_timer_t *timer = (uv_timer_t *)handle, **longest = arg;
    if (handle->type == UV_TIMER &&
        (*longest == NULL || uv_timer_get_due_in(timer) > uv_timer_get_due_in(*longest))) {
        *longest = timer;
    }
}

static void test_what_has_no_verdict_in_half_a_minute_has_none(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.is_deaf = true});
    uv_timer_t *patience = NULL;
    begin(bed, endpoints_at((const struct addr *[]){&backend->addr}, 1), TRIALS_MAX, false);
    turn_until(bed, &backend->calls, 64);
    uv_walk(&bed->loop, find_patience, &patience);
    assert_in_range(uv_timer_get_due_in(patience), 1000 + BACKEND_WAIT_MS / 2, 30001);
    uv_timer_start(patience, patience->timer_cb, 0, 0);
    const struct canary_trial *trials = conclude(bed);
    assert_int_equal(bed->n_results, TRIALS_MAX);
    assert_int_equal(trials[0].verdict, CANARY_UNKNOWN);
    expect_detail(&trials[0], "no verdict in time");
    assert_int_equal(trials[TRIALS_MAX - 1].verdict, CANARY_UNKNOWN);
    expect_detail(&trials[TRIALS_MAX - 1], "its turn did not come");
    assert_int_equal(backend->calls, 64);
    close_backend(backend);
}

/* ---- cancelled ---- */

/* That nobody is called, and nothing is left, is seen when the loop has run out. */
static void cancel(struct bed *bed)
{
    bed->canary = canary_cancel(bed->canary);
    uv_run(&bed->loop, UV_RUN_DEFAULT);
    assert_false(bed->is_done);
}

static void test_cancelled_before_anything_has_happened(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.takes_new = true});
    assert_null(canary_cancel(NULL));
    begin_at(bed, backend);
    cancel(bed);
    begin(bed, NULL, 1, false);
    cancel(bed);
    close_backend(backend);
}

static void test_cancelled_in_the_handshake(void **state)
{
    struct bed *bed = *state;
    struct backend *backend = open_backend((struct backend_spec){.is_deaf = true});
    begin_at(bed, backend);
    turn_until(bed, &backend->calls, 1);
    cancel(bed);
    close_backend(backend);
}

static void test_cancelled_while_the_word_is_waited_for(void **state)
{
    struct bed *bed = *state;
    struct backend *backend =
        open_backend((struct backend_spec){.takes_new = true, .is_mute = true, .is_frozen = true});
    begin_at(bed, backend);
    turn_until(bed, &backend->shaken, 1);
    cancel(bed);
    close_backend(backend);
}

static void test_cancelled_while_the_old_is_tried(void **state)
{
    struct bed *bed = *state;
    struct backend *backend =
        open_backend((struct backend_spec){.takes_old = true, .is_mute = true, .is_frozen = true});
    begin_at(bed, backend);
    turn_until(bed, &backend->shaken, 1);
    assert_int_equal(backend->calls, 2);
    cancel(bed);
    close_backend(backend);
}

static void test_cancelled_in_the_farewell(void **state)
{
    struct bed *bed = *state;
    struct backend *backend =
        open_backend((struct backend_spec){.takes_new = true, .is_frozen = true});
    begin_at(bed, backend);
    turn_until(bed, &backend->shaken, 1);
    cancel(bed);
    close_backend(backend);
}

/* ---- what it leaves alone ---- */

static void test_nothing_is_counted(void **state)
{
    struct bed *bed = *state;
    struct failure failure;
    struct backend *backend = open_backend((struct backend_spec){.takes_old = true});
    try_at(bed, backend);
    assert_int_equal(bed->account->opened, 0);
    assert_int_equal(bed->account->full, 0);
    assert_int_equal(bed->account->succeeded_ms, 0);
    assert_false(account_last_failure(bed->account, &failure));
    close_backend(backend);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_backend_that_takes_both_is_passed),
        TEST(test_tls_1_2_and_backends_that_do_not_ask_accept_at_once),
        TEST(test_a_backend_hears_a_goodbye),
        TEST(test_the_new_is_refused_where_the_old_is_taken),
        TEST(test_new_cas_that_do_not_verify_the_backend_are_refused),
        TEST(test_no_identity_is_refused_where_one_is_demanded),
        TEST(test_where_neither_is_taken_the_new_is_no_worse),
        TEST(test_to_refuse_what_is_revoked_is_what_a_crl_is_for),
        TEST(test_a_backend_that_leaves_before_its_word_refuses_both),
        TEST(test_without_tickets_the_answer_to_our_goodbye_is_the_word),
        TEST(test_who_is_silent_passes_unless_it_must_accept),
        TEST(test_without_tickets_a_refusal_is_heard),
        TEST(test_who_does_not_speak_tls_in_time_tells_nothing),
        TEST(test_a_backend_that_is_down_tells_nothing),
        TEST(test_a_connection_takes_the_time_that_the_service_gives),
        TEST(test_an_address_that_cannot_be_reached_at_all),
        TEST(test_without_an_address_nothing_is_known),
        TEST(test_no_trial_is_done_too),
        TEST(test_a_refusal_counts_before_and_behind_an_acceptance),
        TEST(test_the_first_address_that_can_tell_decides),
        TEST(test_many_trials_take_turns),
        TEST(test_what_has_no_verdict_in_half_a_minute_has_none),
        TEST(test_cancelled_before_anything_has_happened),
        TEST(test_cancelled_in_the_handshake),
        TEST(test_cancelled_while_the_word_is_waited_for),
        TEST(test_cancelled_while_the_old_is_tried),
        TEST(test_cancelled_in_the_farewell),
        TEST(test_nothing_is_counted),
    };
    return cmocka_run_group_tests(tests, make_pki, free_pki);
}
