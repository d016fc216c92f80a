/* The hosts are ours: target.c needs to know no more of them than what these say. */
#include "control/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct host {
    struct answer *answer;
    const char *failure;
    int64_t age_ms;
};

const struct answer *host_answer(const struct host *host)
{
    return host->answer;
}

const char *host_failure(const struct host *host)
{
    return host->failure;
}

int64_t host_age_ms(const struct host *host)
{
    return host->answer != NULL ? host->age_ms : -1;
}

#define ADDRESSES_MAX 4
#define SERVICE_ID    7

/* A service with some addresses, each of which is a literal or a host of ours. */
struct fixture {
    struct config_address addresses[ADDRESSES_MAX];
    struct config_service service;
    struct host hosts[ADDRESSES_MAX];
    struct target target;
};

static void set_up(struct fixture *fixture, size_t n, const char *const *hosts)
{
    *fixture = (struct fixture){.service = {.addresses = fixture->addresses, .n_addresses = n}};
    for (size_t i = 0; i < n; i++) {
        struct addr ignored;
        struct config_address *address = &fixture->addresses[i];
        address->host = (char *)(uintptr_t)hosts[i];
        address->port = (uint16_t)(443 + i);
        address->is_literal = addr_parse_ip(hosts[i], 0, &ignored) == 0;
        address->name = (struct name){.kind = NAME_DNS, .text = address->host};
    }
    if (target_init(&fixture->target, SERVICE_ID, &fixture->service) < 0 ||
        fixture->target.hosts == NULL) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        fixture->target.hosts[i] = fixture->addresses[i].is_literal ? NULL : &fixture->hosts[i];
    }
}

static void tear_down(struct fixture *fixture)
{
    for (size_t i = 0; i < ADDRESSES_MAX; i++) {
        free(fixture->hosts[i].answer);
    }
    target_release(&fixture->target);
}

/* Lets a host have `n` addresses, 192.0.2.`first` and those that follow. */
static void answer(struct host *host, unsigned first, size_t n)
{
    free(host->answer);
    host->answer = calloc(1, sizeof(*host->answer) + n * sizeof(host->answer->addrs[0]));
    assert_non_null(host->answer);
    host->answer->n = n;
    for (size_t i = 0; i < n; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "192.0.2.%u", first + (unsigned)i);
        assert_int_equal(addr_parse_ip(ip, 0, &host->answer->addrs[i]), 0);
    }
}

static void assert_update(struct fixture *fixture, const char *expected)
{
    char text[4096] = "", addr[ADDR_TEXT_MAX];
    struct endpoints *endpoints = target_update(&fixture->target);
    if (expected == NULL) {
        assert_null(endpoints);
        return;
    }
    assert_non_null(endpoints);
    size_t len = 0;
    for (size_t i = 0; i < endpoints->n; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=%s", i > 0 ? " " : "",
                                endpoints->list[i].host.text,
                                addr_format(&endpoints->list[i].addr, addr));
    }
    assert_string_equal(endpoints->n > 0 ? text : endpoints->detail, expected);
    endpoints_unref(endpoints);
}

static void a_literal_is_known_at_once_and_never_changes(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 2, (const char *const[]){"2001:db8::1", "192.0.2.9"});
    assert_update(&fixture, "2001:db8::1=[2001:db8::1]:443 192.0.2.9=192.0.2.9:444");
    assert_update(&fixture, NULL);
    tear_down(&fixture);
}

static void entries_keep_their_order_whenever_they_arrive(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 3, (const char *const[]){"a", "b", "c"});
    assert_update(&fixture, NULL);
    answer(&fixture.hosts[1], 20, 2);
    assert_update(&fixture, "b=192.0.2.20:444 b=192.0.2.21:444");
    answer(&fixture.hosts[2], 30, 1);
    assert_update(&fixture, "b=192.0.2.20:444 b=192.0.2.21:444 c=192.0.2.30:445");
    answer(&fixture.hosts[0], 10, 1);
    assert_update(&fixture, "a=192.0.2.10:443 b=192.0.2.20:444 b=192.0.2.21:444 c=192.0.2.30:445");
    assert_update(&fixture, NULL);
    tear_down(&fixture);
}

static void only_when_all_have_failed_there_is_nowhere_to_go(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 2, (const char *const[]){"a", "b"});
    fixture.hosts[0].failure = "no such name";
    assert_update(&fixture, NULL);
    fixture.hosts[1].failure = "server failure";
    assert_update(&fixture, "a: no such name; b: server failure");
    assert_update(&fixture, NULL);
    fixture.hosts[1].failure = "no such name";
    assert_update(&fixture, "a: no such name; b: no such name");
    answer(&fixture.hosts[1], 20, 1);
    assert_update(&fixture, "b=192.0.2.20:444");
    tear_down(&fixture);
}

static void an_answer_outlives_later_failures(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, (const char *const[]){"a"});
    answer(&fixture.hosts[0], 10, 1);
    assert_update(&fixture, "a=192.0.2.10:443");
    fixture.hosts[0].failure = "server failure";
    assert_update(&fixture, NULL);
    tear_down(&fixture);
}

static void one_address_under_two_names_is_two_endpoints(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 3, (const char *const[]){"a", "b", "a"});
    for (size_t i = 0; i < 3; i++) {
        fixture.addresses[i].port = 443;
        answer(&fixture.hosts[i], 10, 1);
    }
    assert_update(&fixture, "a=192.0.2.10:443 b=192.0.2.10:443");
    tear_down(&fixture);
}

static void endpoints_are_bounded(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 2, (const char *const[]){"a", "b"});
    answer(&fixture.hosts[0], 1, 60);
    answer(&fixture.hosts[1], 100, 60);
    struct endpoints *endpoints = target_update(&fixture.target);
    assert_int_equal(endpoints->n, TARGET_ENDPOINTS_MAX);
    assert_string_equal(endpoints->list[59].host.text, "a");
    assert_string_equal(endpoints->list[60].host.text, "b");
    endpoints_unref(endpoints);
    tear_down(&fixture);
}

static void a_long_story_of_failures_is_cut(void **state)
{
    (void)state;
    struct fixture fixture;
    char failure[400];
    memset(failure, 'x', sizeof(failure) - 1);
    failure[sizeof(failure) - 1] = '\0';
    set_up(&fixture, 3, (const char *const[]){"a", "b", "c"});
    for (size_t i = 0; i < 3; i++) {
        fixture.hosts[i].failure = failure;
    }
    struct endpoints *endpoints = target_update(&fixture.target);
    assert_int_equal(endpoints->n, 0);
    assert_int_equal(strlen(endpoints->detail), 511);
    endpoints_unref(endpoints);
    tear_down(&fixture);
}

static void it_is_known_whose_target_it_is(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, (const char *const[]){"a"});
    assert_int_equal(fixture.target.id, SERVICE_ID);
    tear_down(&fixture);
}

static void the_oldest_answer_tells_the_age(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 3, (const char *const[]){"192.0.2.1", "a", "b"});
    assert_int_equal(target_age_ms(&fixture.target), -1);
    answer(&fixture.hosts[1], 10, 1);
    fixture.hosts[1].age_ms = 5000;
    assert_int_equal(target_age_ms(&fixture.target), -1);
    answer(&fixture.hosts[2], 20, 1);
    fixture.hosts[2].age_ms = 3000;
    assert_int_equal(target_age_ms(&fixture.target), 5000);
    tear_down(&fixture);
}

static void a_literal_has_no_age_and_no_failure(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 2, (const char *const[]){"192.0.2.1", "::1"});
    assert_int_equal(target_age_ms(&fixture.target), -1);
    assert_null(target_failure(&fixture.target));
    tear_down(&fixture);
}

static void one_name_that_fails_is_told_beside_others_that_do_not(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 3, (const char *const[]){"192.0.2.1", "a", "b"});
    answer(&fixture.hosts[1], 10, 1);
    assert_null(target_failure(&fixture.target));
    fixture.hosts[2].failure = "server failure";
    assert_string_equal(target_failure(&fixture.target), "server failure");
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_is_known_at_once_and_never_changes),
        cmocka_unit_test(entries_keep_their_order_whenever_they_arrive),
        cmocka_unit_test(only_when_all_have_failed_there_is_nowhere_to_go),
        cmocka_unit_test(an_answer_outlives_later_failures),
        cmocka_unit_test(one_address_under_two_names_is_two_endpoints),
        cmocka_unit_test(endpoints_are_bounded),
        cmocka_unit_test(a_long_story_of_failures_is_cut),
        cmocka_unit_test(it_is_known_whose_target_it_is),
        cmocka_unit_test(the_oldest_answer_tells_the_age),
        cmocka_unit_test(a_literal_has_no_age_and_no_failure),
        cmocka_unit_test(one_name_that_fails_is_told_beside_others_that_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
