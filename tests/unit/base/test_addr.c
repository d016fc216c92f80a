#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct addr ip(const char *text, uint16_t port)
{
    struct addr addr;
    assert_int_equal(addr_parse_ip(text, port, &addr), 0);
    return addr;
}

static void addresses_are_written_as_they_are_read(void **state)
{
    (void)state;
    char text[ADDR_TEXT_MAX];
    struct addr four = ip("192.0.2.1", 443), six = ip("2001:DB8:0::1", 1), local;
    assert_string_equal(addr_format(&four, text), "192.0.2.1:443");
    assert_string_equal(addr_format(&six, text), "[2001:db8::1]:1");
    assert_int_equal(addr_from_path("/run/x.sock", &local), 0);
    assert_string_equal(addr_format(&local, text), "unix:/run/x.sock");
    assert_int_equal(addr_port(&four), 443);
    assert_int_equal(addr_port(&local), 0);
}

static void names_are_no_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "localhost", "1.2.3", "1.2.3.4.5", "[::1]", "1.2.3.4 "};
    struct addr addr;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(addr_parse_ip(bad[i], 1, &addr), -1);
    }
}

static void paths_have_a_limit(void **state)
{
    (void)state;
    struct addr addr;
    char path[109], text[ADDR_TEXT_MAX];
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[108] = '\0';
    assert_int_equal(addr_from_path(path, &addr), -1);
    assert_int_equal(addr_from_path("", &addr), -1);
    path[107] = '\0';
    assert_int_equal(addr_from_path(path, &addr), 0);
    assert_int_equal(strlen(addr_format(&addr, text)), 107 + strlen("unix:"));
}

static void loopback_and_wildcards_are_known(void **state)
{
    (void)state;
    struct addr local;
    addr_from_path("/x", &local);
    static const char *const loopback[] = {"127.0.0.1", "127.255.0.9", "::1"};
    static const char *const wildcard[] = {"0.0.0.0", "::"};
    static const char *const other[] = {"128.0.0.1", "10.0.0.1", "::2", "::ffff:127.0.0.1"};
    assert_true(addr_is_loopback(&local));
    assert_false(addr_is_wildcard(&local));
    for (size_t i = 0; i < 3; i++) {
        struct addr addr = ip(loopback[i], 1);
        assert_true(addr_is_loopback(&addr));
        assert_false(addr_is_wildcard(&addr));
    }
    for (size_t i = 0; i < 2; i++) {
        struct addr addr = ip(wildcard[i], 1);
        assert_true(addr_is_wildcard(&addr));
        assert_false(addr_is_loopback(&addr));
    }
    for (size_t i = 0; i < 4; i++) {
        struct addr addr = ip(other[i], 1);
        assert_false(addr_is_loopback(&addr));
        assert_false(addr_is_wildcard(&addr));
    }
}

static void equality_is_family_address_and_port(void **state)
{
    (void)state;
    struct addr a = ip("127.0.0.1", 1), same = ip("127.0.0.1", 1), port = ip("127.0.0.1", 2),
                six = ip("::1", 1), x, y;
    addr_from_path("/x", &x);
    addr_from_path("/y", &y);
    assert_true(addr_equal(&a, &same));
    assert_false(addr_equal(&a, &port));
    assert_false(addr_equal(&a, &six));
    assert_true(addr_equal(&six, &six));
    assert_true(addr_equal(&x, &x));
    assert_false(addr_equal(&x, &y));
}

static void a_caller_without_a_path_is_named(void **state)
{
    (void)state;
    char text[ADDR_TEXT_MAX];
    struct addr addr;
    const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
    assert_int_equal(addr_from_sockaddr((const struct sockaddr *)&unnamed, sizeof(sa_family_t),
                                        &addr),
                     0);
    assert_string_equal(addr_format(&addr, text), "unix:");
}

static void other_families_are_refused(void **state)
{
    (void)state;
    struct addr addr;
    const struct sockaddr netlink = {.sa_family = AF_NETLINK};
    assert_int_equal(addr_from_sockaddr(&netlink, sizeof(netlink), &addr), -1);
    assert_int_equal(addr_from_sockaddr(&netlink, 4096, &addr), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_written_as_they_are_read),
        cmocka_unit_test(names_are_no_addresses),
        cmocka_unit_test(paths_have_a_limit),
        cmocka_unit_test(loopback_and_wildcards_are_known),
        cmocka_unit_test(equality_is_family_address_and_port),
        cmocka_unit_test(a_caller_without_a_path_is_named),
        cmocka_unit_test(other_families_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
