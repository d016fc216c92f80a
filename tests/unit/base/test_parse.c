#include "base/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void numbers_are_read_whole(void **state)
{
    (void)state;
    uint64_t number = 7;
    assert_int_equal(parse_number("0", 0, 10, &number), 0);
    assert_int_equal(number, 0);
    assert_int_equal(parse_number("0042", 0, 100, &number), 0);
    assert_int_equal(number, 42);
    assert_int_equal(parse_number("18446744073709551615", 0, UINT64_MAX, &number), 0);
    assert_true(number == UINT64_MAX);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "0x10",
                                      "1.0",
                                      "1,",
                                      "١",
                                      "11",
                                      "18446744073709551616",
                                      "99999999999999999999999999"};
    uint64_t number = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse_number(bad[i], 0, 10, &number), -1);
    }
    assert_int_equal(parse_number("4", 5, 10, &number), -1);
    assert_int_equal(number, 7);
}

static void durations_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"250ms", 250},  {"5s", 5000},         {"10m", 600000},
                {"2h", 7200000}, {"100d", 8640000000}, {"0s", 0}};
    static const char *const bad[] = {
        "",     "5",   "0", "s", "5 s", "5S", "5sec", "1.5s", "-5s", "5s ", "18446744073709551615s",
        "5mss", "5min"};
    uint64_t ms;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse_duration(good[i].text, &ms), 0);
        assert_true(ms == good[i].ms);
    }
    ms = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse_duration(bad[i], &ms), -1);
    }
    assert_int_equal(ms, 7);
}

static void bools_are_words(void **state)
{
    (void)state;
    bool value = false;
    assert_int_equal(parse_bool("yes", &value), 0);
    assert_true(value);
    assert_int_equal(parse_bool("off", &value), 0);
    assert_false(value);
    assert_int_equal(parse_bool("true", &value), 0);
    assert_true(value);
    assert_int_equal(parse_bool("Yes", &value), -1);
    assert_int_equal(parse_bool("1", &value), -1);
    assert_int_equal(parse_bool("", &value), -1);
    assert_true(value);
}

static void hosts_and_ports_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {{"api.example.com:443", "api.example.com", 443},
                {"127.0.0.1:1", "127.0.0.1", 1},
                {"[2001:db8::1]:65535", "2001:db8::1", 65535}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char *host;
        uint16_t port;
        const char *why;
        assert_int_equal(parse_host_port(good[i].text, &host, &port, &why), 0);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
        free(host);
    }
}

static void bad_hosts_and_ports_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "port is missing"},         {"host", "port is missing"},
               {":443", "host is missing"},     {"host:", "1 to 65535"},
               {"host:0", "1 to 65535"},        {"host:65536", "1 to 65535"},
               {"host:https", "1 to 65535"},    {"host:443 ", "1 to 65535"},
               {"::1:443", "brackets"},         {"[::1]", "port is missing"},
               {"[::1]443", "port is missing"}, {"[::1:443", "IPv6"},
               {"[host]:443", "IPv6"},          {"[]:443", "IPv6"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *host = NULL;
        uint16_t port = 7;
        const char *why = NULL;
        assert_int_equal(parse_host_port(bad[i].text, &host, &port, &why), -1);
        assert_non_null(strstr(why, bad[i].why));
        assert_null(host);
        assert_int_equal(port, 7);
    }
}

static void base64_is_strict(void **state)
{
    (void)state;
    /* RFC 4648 section 10 */
    static const struct {
        const char *text, *bytes;
    } good[] = {{"", ""},
                {"Zg==", "f"},
                {"Zm8=", "fo"},
                {"Zm9v", "foo"},
                {"Zm9vYg==", "foob"},
                {"Zm9vYmE=", "fooba"},
                {"Zm9vYmFy", "foobar"}};
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",         "Zg===", "Zh==",
                                      "Zm9=", "Z===", "====",        "Zm=v",  "Zg==Zg==",
                                      "Zm 8", "Zm-_", "Zm9vYmFyYQ=="};
    uint8_t bytes[6];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        size_t len = strlen(good[i].bytes);
        assert_int_equal(parse_base64(good[i].text, bytes, sizeof(bytes)), len);
        assert_memory_equal(bytes, good[i].bytes, len);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse_base64(bad[i], bytes, sizeof(bytes)), -1);
    }
    assert_int_equal(parse_base64("Zm9v", bytes, 2), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_whole),    cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(durations_have_units),      cmocka_unit_test(bools_are_words),
        cmocka_unit_test(hosts_and_ports_are_split), cmocka_unit_test(bad_hosts_and_ports_say_why),
        cmocka_unit_test(base64_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
