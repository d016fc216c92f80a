#include "base/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void dns_names_are_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *text, *normal;
    } good[] = {{"api.example.com", "api.example.com"},
                {"API.Example.COM.", "api.example.com"},
                {"localhost", "localhost"},
                {"_sip._tcp.a-b.example", "_sip._tcp.a-b.example"},
                {"xn--bcher-kva.example", "xn--bcher-kva.example"},
                {"3com.example", "3com.example"}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const char *why;
        char *name = name_normalise_dns(good[i].text, &why);
        assert_string_equal(name, good[i].normal);
        free(name);
    }
}

static void bad_dns_names_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "missing"},
               {".", "empty label"},
               {"a..b", "empty label"},
               {".a", "empty label"},
               {"a..", "empty label"},
               {"b\xc3\xbc"
                "cher.example",
                "xn--"},
               {"a b", "letters"},
               {"user@host", "user part"},
               {"https://x", "colon"},
               {"a/b", "URL"},
               {"*.example.com", "wildcard"},
               {"a:b", "colon"},
               {"1.2.3.400", "IPv4"},
               {"1.2.3", "IPv4"},
               {"a\tb", "letters"},
               {"1.2.3.4", "IPv4"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = NULL;
        assert_null(name_normalise_dns(bad[i].text, &why));
        assert_non_null(strstr(why, bad[i].why));
    }
}

static void dns_names_have_limits(void **state)
{
    (void)state;
    const char *why;
    char text[300];
    /* 63, 63, 63 and 61 letters with three dots: 253 in all */
    memset(text, 'a', sizeof(text));
    text[63] = text[127] = text[191] = '.';
    text[253] = '\0';
    char *name = name_normalise_dns(text, &why);
    assert_int_equal(strlen(name), 253);
    free(name);
    memcpy(text + 253, ".", 2);
    name = name_normalise_dns(text, &why);
    assert_int_equal(strlen(name), 253);
    free(name);
    memcpy(text + 253, "a", 2);
    assert_null(name_normalise_dns(text, &why));
    assert_non_null(strstr(why, "253"));
    memset(text, 'a', 64);
    text[64] = '\0';
    assert_null(name_normalise_dns(text, &why));
    assert_non_null(strstr(why, "63"));
}

static void names_have_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text, *formatted;
        enum name_kind kind;
    } good[] = {{"dns:Api.Example.com.", "dns:api.example.com", NAME_DNS},
                {"api.example.com", "dns:api.example.com", NAME_DNS},
                {"192.0.2.1", "ip:192.0.2.1", NAME_IP},
                {"ip:2001:DB8:0::1", "ip:2001:db8::1", NAME_IP},
                {"::1", "ip:::1", NAME_IP},
                {"uri:spiffe://Example.org/a", "uri:spiffe://Example.org/a", NAME_URI},
                {"URI:urn:x", "uri:urn:x", NAME_URI}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct name name;
        const char *why;
        char text[64];
        assert_int_equal(name_parse(good[i].text, &name, &why), 0);
        assert_int_equal(name.kind, good[i].kind);
        assert_string_equal(name_format(&name, text, sizeof(text)), good[i].formatted);
        name_release(&name);
        assert_null(name.text);
    }
}

static void bad_names_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {{"dns:192.0.2.1", "ip:"},
               {"ip:host", "IP address"},
               {"ip:", "IP address"},
               {"uri:", "URI"},
               {"uri:host", "URI"},
               {"uri::x", "URI"},
               {"uri:s p:x", "scheme"},
               {"uri:a:b c", "blanks"},
               {"uri:spiffe://", "trust domain"},
               {"uri:spiffe:///x", "trust domain"},
               {"dns:", "missing"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct name name;
        const char *why = NULL;
        assert_int_equal(name_parse(bad[i].text, &name, &why), -1);
        assert_non_null(strstr(why, bad[i].why));
    }
}

static void addresses_are_kept_as_bytes(void **state)
{
    (void)state;
    struct name name;
    const char *why;
    assert_int_equal(name_from_host("192.0.2.1", &name, &why), 0);
    assert_int_equal(name.ip_len, 4);
    assert_memory_equal(name.ip, "\xc0\x00\x02\x01", 4);
    name_release(&name);
    assert_int_equal(name_from_host("::1", &name, &why), 0);
    assert_int_equal(name.ip_len, 16);
    assert_int_equal(name.ip[15], 1);
    name_release(&name);
}

static void a_long_name_is_cut_when_formatted(void **state)
{
    (void)state;
    struct name name = {.kind = NAME_DNS, .text = (char[]){"abcdef"}};
    char text[8];
    assert_string_equal(name_format(&name, text, sizeof(text)), "dns:abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dns_names_are_normalised),
        cmocka_unit_test(bad_dns_names_say_why),
        cmocka_unit_test(dns_names_have_limits),
        cmocka_unit_test(names_have_kinds),
        cmocka_unit_test(bad_names_say_why),
        cmocka_unit_test(addresses_are_kept_as_bytes),
        cmocka_unit_test(a_long_name_is_cut_when_formatted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
