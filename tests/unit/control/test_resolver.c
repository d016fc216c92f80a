/* The resolver from one configuration to the next. Literals and "localhost", which /etc/hosts
 * knows, suffice; a name that nobody knows is one whose question is under way. */
#include "base/clock.h"
#include "base/log.h"
#include "control/resolver.h"
#include "control/target.h"

#include "tests/unit/control/site.h"

#define HANG_MS      30000
#define SERVICES_MAX 8

struct bed {
    uv_loop_t loop;
    struct resolver *resolver;
    struct snapshot *snapshot;
    unsigned calls;
    unsigned found[SERVICES_MAX]; /* how often, by the service's id */
    size_t n_found[SERVICES_MAX]; /* endpoints, the last time */
};

static void on_found(void *ctx, size_t id, struct endpoints *endpoints)
{
    struct bed *bed = ctx;
    assert_true(id < SERVICES_MAX);
    bed->calls++;
    bed->found[id]++;
    bed->n_found[id] = endpoints->n;
    endpoints_unref(endpoints);
}

static int set_up(void **state)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    assert_int_equal(uv_loop_init(&bed->loop), 0);
    bed->resolver = resolver_start(&bed->loop, on_found, bed);
    assert_non_null(bed->resolver);
    *state = bed;
    return 0;
}

/* Only when all has been given back can the loop be closed. */
static int tear_down(void **state)
{
    struct bed *bed = *state;
    assert_null(resolver_stop(bed->resolver));
    uv_run(&bed->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&bed->loop);
    snapshot_free(bed->snapshot);
    free(bed);
    return rc;
}

/* Goes over to what is configured. */
static void go_on(struct bed *bed)
{
    struct snapshot *next = site_load(bed->snapshot);
    struct resolver_plan *plan = resolver_plan(bed->resolver, next);
    assert_non_null(plan);
    bed->calls = 0;
    resolver_commit(bed->resolver, plan);
    snapshot_free(bed->snapshot);
    bed->snapshot = next;
}

static const struct target *target_of(const struct bed *bed, const char *name)
{
    return resolver_target(bed->resolver, site_find(bed->snapshot, name));
}

static size_t id_of(const struct bed *bed, const char *name)
{
    return site_service(bed->snapshot, name)->id;
}

static void on_hang(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Turns the loop until a service is found. */
static void wait_for(struct bed *bed, const char *name)
{
    bool hangs = false;
    uv_timer_t timer = {.data = &hangs};
    uv_timer_init(&bed->loop, &timer);
    uv_timer_start(&timer, on_hang, HANG_MS, 0);
    while (bed->found[id_of(bed, name)] == 0 && !hangs) {
        uv_run(&bed->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bed->loop, UV_RUN_NOWAIT);
    assert_false(hangs);
}

#define LITERAL   "[service literal]\nlisten = 127.0.0.1:9001\naddress = 192.0.2.7:443\n"
#define LOCAL     "[service local]\nlisten = 127.0.0.1:9002\naddress = localhost:443\n"
#define LOCAL_TOO "[service too]\nlisten = 127.0.0.1:9003\naddress = localhost:444, 192.0.2.8:444\n"
#define NOWHERE   "[service lost]\nlisten = 127.0.0.1:9004\naddress = nobody-knows.invalid:443\n"

static void a_literal_is_known_at_once(void **state)
{
    struct bed *bed = *state;
    site_configure(LITERAL);
    go_on(bed);
    assert_int_equal(bed->found[id_of(bed, "literal")], 1);
    assert_int_equal(bed->n_found[id_of(bed, "literal")], 1);
    assert_int_equal(target_age_ms(target_of(bed, "literal")), -1);
}

static void a_name_of_this_host_is_found(void **state)
{
    struct bed *bed = *state;
    site_configure(LITERAL LOCAL);
    go_on(bed);
    wait_for(bed, "local");
    assert_true(bed->n_found[id_of(bed, "local")] > 0);
    assert_true(target_age_ms(target_of(bed, "local")) >= 0);
    assert_null(target_failure(target_of(bed, "local")));
}

static void what_is_known_is_not_told_again(void **state)
{
    struct bed *bed = *state;
    site_configure(LITERAL LOCAL);
    go_on(bed);
    wait_for(bed, "local");
    struct endpoints *endpoints = endpoints_ref(target_of(bed, "local")->endpoints);
    const struct host *host = target_of(bed, "local")->hosts[0];
    for (int i = 0; i < 3; i++) {
        site_configure("%s", i % 2 == 0 ? LOCAL LITERAL : LITERAL LOCAL);
        go_on(bed);
        assert_int_equal(bed->calls, 0);
        assert_ptr_equal(target_of(bed, "local")->endpoints, endpoints);
        assert_ptr_equal(target_of(bed, "local")->hosts[0], host);
    }
    endpoints_unref(endpoints);
}

/* Whoever needs a name that is asked for already knows its answer at once. */
static void a_name_that_is_known_is_known_to_all(void **state)
{
    struct bed *bed = *state;
    site_configure(LOCAL);
    go_on(bed);
    wait_for(bed, "local");
    site_configure(LOCAL LOCAL_TOO);
    go_on(bed);
    assert_int_equal(bed->calls, 1);
    assert_int_equal(bed->n_found[id_of(bed, "too")], bed->n_found[id_of(bed, "local")] + 1);
    assert_ptr_equal(target_of(bed, "too")->hosts[0], target_of(bed, "local")->hosts[0]);
    assert_null(target_of(bed, "too")->hosts[1]);
    /* Also when the one who asked first goes. */
    site_configure(LOCAL_TOO);
    go_on(bed);
    assert_int_equal(bed->calls, 0);
    assert_true(target_age_ms(target_of(bed, "too")) >= 0);
}

static void a_service_that_is_elsewhere_is_found_anew(void **state)
{
    struct bed *bed = *state;
    site_configure("[service a]\nlisten = 127.0.0.1:9001\naddress = 192.0.2.1:443\n" LOCAL);
    go_on(bed);
    wait_for(bed, "local");
    size_t a = id_of(bed, "a");
    site_configure("[service a]\nlisten = 127.0.0.1:9001\naddress = localhost:443\n" LOCAL);
    go_on(bed);
    assert_int_equal(id_of(bed, "a"), a);
    assert_int_equal(bed->calls, 1);
    assert_int_equal(bed->found[a], 2);
    site_configure("[service a]\nlisten = 127.0.0.1:9001\naddress = 192.0.2.1:444\n" LOCAL);
    go_on(bed);
    assert_int_equal(bed->calls, 1);
    assert_int_equal(bed->found[a], 3);
    assert_int_equal(bed->n_found[a], 1);
}

static void a_name_may_leave_and_come_back(void **state)
{
    struct bed *bed = *state;
    for (int i = 0; i < 5; i++) {
        memset(bed->found, 0, sizeof(bed->found));
        site_configure(LITERAL LOCAL);
        go_on(bed);
        wait_for(bed, "local");
        site_configure(LITERAL);
        go_on(bed);
        uv_run(&bed->loop, UV_RUN_NOWAIT);
    }
}

static void a_name_may_come_back_while_its_question_is_under_way(void **state)
{
    struct bed *bed = *state;
    for (int i = 0; i < 10; i++) {
        site_configure(LITERAL LOCAL NOWHERE);
        go_on(bed);
        if (i % 3 == 0) {
            uv_run(&bed->loop, UV_RUN_NOWAIT);
        }
        site_configure(LITERAL);
        go_on(bed);
    }
    site_configure(LITERAL LOCAL NOWHERE);
    go_on(bed);
    wait_for(bed, "local");
}

/* Those who ask for a name in vain, under another number in each configuration. */
static void an_answer_finds_its_service_where_it_is_by_then(void **state)
{
    struct bed *bed = *state;
    site_configure(LITERAL LOCAL);
    go_on(bed);
    size_t local = id_of(bed, "local");
    site_configure(NOWHERE LOCAL LOCAL_TOO LITERAL);
    go_on(bed);
    assert_int_equal(id_of(bed, "local"), local);
    wait_for(bed, "local");
    wait_for(bed, "too");
    assert_int_equal(bed->n_found[id_of(bed, "too")], bed->n_found[local] + 1);
    assert_int_equal(bed->n_found[id_of(bed, "literal")], 1);
}

static void a_plan_that_is_dropped_changes_nothing(void **state)
{
    struct bed *bed = *state;
    site_configure(LOCAL);
    go_on(bed);
    wait_for(bed, "local");
    const struct host *host = target_of(bed, "local")->hosts[0];
    bed->calls = 0;
    site_configure(LITERAL LOCAL LOCAL_TOO NOWHERE);
    struct snapshot *next = site_load(bed->snapshot);
    for (int i = 0; i < 3; i++) {
        struct resolver_plan *plan = resolver_plan(bed->resolver, next);
        assert_non_null(plan);
        assert_null(resolver_plan_free(plan));
    }
    assert_null(resolver_plan_free(NULL));
    snapshot_free(next);
    uv_run(&bed->loop, UV_RUN_NOWAIT);
    assert_int_equal(bed->calls, 0);
    assert_ptr_equal(target_of(bed, "local")->hosts[0], host);
    assert_true(target_age_ms(target_of(bed, "local")) >= 0);
}

static void it_may_stop_while_questions_are_under_way(void **state)
{
    struct bed *bed = *state;
    site_configure(NOWHERE LOCAL);
    go_on(bed);
    site_configure(LITERAL);
    go_on(bed);
}

static int enter(void **state)
{
    log_configure(LEVEL_ERROR, LOG_TEXT);
    return site_enter(state);
}

#define bed_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        bed_test(a_literal_is_known_at_once),
        bed_test(a_name_of_this_host_is_found),
        bed_test(what_is_known_is_not_told_again),
        bed_test(a_name_that_is_known_is_known_to_all),
        bed_test(a_service_that_is_elsewhere_is_found_anew),
        bed_test(a_name_may_leave_and_come_back),
        bed_test(a_name_may_come_back_while_its_question_is_under_way),
        bed_test(an_answer_finds_its_service_where_it_is_by_then),
        bed_test(a_plan_that_is_dropped_changes_nothing),
        bed_test(it_may_stop_while_questions_are_under_way),
    };
    return cmocka_run_group_tests(tests, enter, site_leave);
}
