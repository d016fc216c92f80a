#include "control/answer.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>
#include <cmocka.h>

#define NODES_MAX 80

/* An answer as c-ares gives it. */
struct made {
    struct ares_addrinfo info;
    struct ares_addrinfo_node nodes[NODES_MAX];
    struct ares_addrinfo_cname cname;
    struct addr addrs[NODES_MAX];
    size_t n;
};

static void append(struct made *made, const char *ip, int ttl)
{
    struct ares_addrinfo_node *node = &made->nodes[made->n];
    struct addr *addr = &made->addrs[made->n];
    assert_int_equal(addr_parse_ip(ip, 0, addr), 0);
    *node = (struct ares_addrinfo_node){
        .ai_ttl = ttl,
        .ai_family = addr->sa.sa_family,
        .ai_addrlen = addr->len,
        .ai_addr = &addr->sa,
    };
    if (made->n > 0) {
        made->nodes[made->n - 1].ai_next = node;
    }
    made->info.nodes = made->nodes;
    made->n++;
}

/* Makes an answer of addresses that are separated by spaces. */
static struct answer *answer_of(const char *ips)
{
    struct made made = {.n = 0};
    char *copy = strdup(ips), *rest = NULL;
    assert_non_null(copy);
    for (char *ip = strtok_r(copy, " ", &rest); ip != NULL; ip = strtok_r(NULL, " ", &rest)) {
        append(&made, ip, 60);
    }
    free(copy);
    return answer_new(&made.info);
}

static void assert_order(const char *given, const char *expected)
{
    char text[4096];
    struct answer *answer = answer_of(given);
    assert_non_null(answer);
    assert_string_equal(answer_format(answer, text, sizeof(text)), expected);
    free(answer);
}

static void families_take_turns(void **state)
{
    (void)state;
    assert_order("192.0.2.1", "192.0.2.1");
    assert_order("192.0.2.1 192.0.2.2", "192.0.2.1 192.0.2.2");
    assert_order("2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2",
                 "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2");
    assert_order("192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1",
                 "192.0.2.1 2001:db8::1 192.0.2.2 192.0.2.3");
    assert_order("2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.3",
                 "2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.3");
}

static void duplicates_are_removed(void **state)
{
    (void)state;
    assert_order("192.0.2.1 192.0.2.1 192.0.2.2 192.0.2.1", "192.0.2.1 192.0.2.2");
    assert_order("::1 127.0.0.1 ::1", "::1 127.0.0.1");
}

static void no_address_is_no_answer(void **state)
{
    (void)state;
    struct made made = {.n = 0};
    assert_null(answer_new(&made.info));
}

static void the_least_ttl_counts_those_of_cnames_included(void **state)
{
    (void)state;
    struct made made = {.n = 0};
    append(&made, "192.0.2.1", 300);
    append(&made, "192.0.2.2", 200);
    struct answer *answer = answer_new(&made.info);
    assert_int_equal(answer->ttl_s, 200);
    free(answer);

    made.cname.ttl = 7;
    made.info.cnames = &made.cname;
    answer = answer_new(&made.info);
    assert_int_equal(answer->ttl_s, 7);
    free(answer);

    made.cname.ttl = -1; /* the top bit is set: RFC 2181 section 8 */
    answer = answer_new(&made.info);
    assert_int_equal(answer->ttl_s, 0);
    free(answer);
}

static void an_answer_is_bounded(void **state)
{
    (void)state;
    struct made made = {.n = 0};
    for (unsigned i = 0; i < NODES_MAX; i++) {
        char ip[32];
        snprintf(ip, sizeof(ip), "192.0.2.%u", i + 1);
        append(&made, ip, 60);
    }
    struct answer *answer = answer_new(&made.info);
    assert_int_equal(answer->n, ANSWER_MAX);
    char text[64];
    assert_int_equal(strlen(answer_format(answer, text, sizeof(text))), sizeof(text) - 1);
    free(answer);
}

static void another_order_is_the_same_answer(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_same;
    } pairs[] = {
        {"192.0.2.1 192.0.2.2", "192.0.2.2 192.0.2.1", true},
        {"192.0.2.1 ::1", "::1 192.0.2.1", true},
        {"192.0.2.1", "192.0.2.1 192.0.2.2", false},
        {"192.0.2.1 192.0.2.2", "192.0.2.1 192.0.2.3", false},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct answer *a = answer_of(pairs[i].a), *b = answer_of(pairs[i].b);
        assert_int_equal(answer_same(a, b), pairs[i].is_same);
        assert_int_equal(answer_same(b, a), pairs[i].is_same);
        free(a);
        free(b);
    }
}

static void an_answer_lasts_for_its_ttl_within_bounds(void **state)
{
    static const struct {
        uint32_t ttl_s;
        uint64_t ms;
    } cases[] = {{0, 1000},     {1, 1000},     {60, 60000},
                 {300, 300000}, {301, 300000}, {UINT32_MAX, 300000}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct answer answer = {.ttl_s = cases[i].ttl_s};
        assert_int_equal(answer_lasts_ms(&answer), cases[i].ms);
    }
}

static void aliases_are_listed_once_on_the_way(void **state)
{
    struct ares_addrinfo_cname cnames[] = {{.ttl = 60, .name = (char[]){"lb.example.net"}},
                                           {.ttl = 60, .name = (char[]){"zone-a.example.net"}},
                                           {.ttl = 60, .name = (char[]){"lb.example.net"}},
                                           {.ttl = 60, .name = NULL}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        cnames[i].next = &cnames[i + 1];
    }
    struct made made = {.info = {.cnames = cnames}};
    append(&made, "192.0.2.1", 30);
    append(&made, "192.0.2.2", -1);
    struct answer *answer = answer_new(&made.info);
    assert_non_null(answer);
    assert_string_equal(answer->aliases, "lb.example.net zone-a.example.net");
    assert_int_equal(answer->ttls_s[0], 30);
    assert_int_equal(answer->ttls_s[1], 0);
    free(answer);

    answer = answer_of("192.0.2.1");
    assert_string_equal(answer->aliases, "");
    free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(duplicates_are_removed),
        cmocka_unit_test(no_address_is_no_answer),
        cmocka_unit_test(the_least_ttl_counts_those_of_cnames_included),
        cmocka_unit_test(an_answer_lasts_for_its_ttl_within_bounds),
        cmocka_unit_test(an_answer_is_bounded),
        cmocka_unit_test(another_order_is_the_same_answer),
        cmocka_unit_test(aliases_are_listed_once_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
