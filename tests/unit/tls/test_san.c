#include "base/name.h"
#include "tls/san.h"

#include "tests/unit/certs/fixture.h"

/* Up to four names of any kind in one certificate; `cn` is always there. */
struct names {
    struct {
        gnutls_x509_subject_alt_name_t type;
        const char *bytes;
        unsigned len; /* 0: a text */
    } san[4];
};

/* clang-format off: one line each */
#define DNS(text)                                                                                  \
    {                                                                                              \
        GNUTLS_SAN_DNSNAME, text, 0                                                                \
    }
#define URI(text)                                                                                  \
    {                                                                                              \
        GNUTLS_SAN_URI, text, 0                                                                    \
    }
#define EMAIL(text)                                                                                \
    {                                                                                              \
        GNUTLS_SAN_RFC822NAME, text, 0                                                             \
    }
#define IP(text)                                                                                   \
    {                                                                                              \
        GNUTLS_SAN_IPADDRESS, text, sizeof(text) - 1                                               \
    }
/* clang-format on */

static gnutls_x509_crt_t make(const struct names *names)
{
    const struct fixture_spec spec = {0};
    struct fixture_cert made = {.key = fixture_key(&spec)};
    fixture_ok(gnutls_x509_crt_init(&made.crt));
    fixture_ok(gnutls_x509_crt_set_version(made.crt, 3));
    fixture_ok(gnutls_x509_crt_set_key(made.crt, made.key));
    fixture_ok(gnutls_x509_crt_set_serial(made.crt, "1", 1));
    fixture_ok(gnutls_x509_crt_set_dn(made.crt, "CN=cn.example.com", NULL));
    fixture_ok(gnutls_x509_crt_set_activation_time(made.crt, time(NULL) - FIXTURE_DAY));
    fixture_ok(gnutls_x509_crt_set_expiration_time(made.crt, time(NULL) + FIXTURE_DAY));
    for (size_t i = 0; i < 4 && names->san[i].bytes != NULL; i++) {
        unsigned len =
            names->san[i].len != 0 ? names->san[i].len : (unsigned)strlen(names->san[i].bytes);
        fixture_ok(gnutls_x509_crt_set_subject_alt_name(made.crt, names->san[i].type,
                                                        names->san[i].bytes, len,
                                                        GNUTLS_FSAN_APPEND));
    }
    fixture_ok(gnutls_x509_crt_sign2(made.crt, made.crt, made.key, GNUTLS_DIG_SHA256, 0));
    fixture_reread(&made);
    gnutls_x509_privkey_deinit(made.key);
    return made.crt;
}

static enum reason check(const struct names *names, const char *wanted, bool allow_common_name,
                         struct failure *ret_failure)
{
    struct name name = {0};
    const char *why;
    gnutls_x509_crt_t crt = make(names);
    assert_int_equal(name_parse(wanted, &name, &why), 0);
    failure_set(ret_failure, REASON_ok, "%s", "");
    int rc = san_check(crt, &name, 1, allow_common_name, ret_failure);
    assert_int_equal(rc, ret_failure->reason == REASON_ok ? 0 : -1);
    name_release(&name);
    gnutls_x509_crt_deinit(crt);
    return ret_failure->reason;
}

static void test_names_match_by_their_own_kind(void **state)
{
    static const struct {
        const char *wanted;
        struct names names;
        enum reason reason;
    } cases[] = {
        {"dns:a.example.com", {{DNS("a.example.com")}}, REASON_ok},
        {"dns:a.example.com", {{DNS("A.Example.COM")}}, REASON_ok},
        {"dns:a.example.com", {{DNS("b.example.com"), DNS("a.example.com")}}, REASON_ok},
        {"dns:a.example.com", {{DNS("b.example.com")}}, REASON_cert_name_mismatch},
        /* RFC 6125 section 6.4.3: the wildcard is the whole left-most label, and one label only. */
        {"dns:a.example.com", {{DNS("*.example.com")}}, REASON_ok},
        {"dns:example.com", {{DNS("*.example.com")}}, REASON_cert_name_mismatch},
        {"dns:b.a.example.com", {{DNS("*.example.com")}}, REASON_cert_name_mismatch},
        {"dns:a.example.com", {{DNS("a.*.com")}}, REASON_cert_name_mismatch},
        {"dns:example.com", {{DNS("*.com")}}, REASON_cert_name_mismatch},
        {"dns:com", {{DNS("*")}}, REASON_cert_name_mismatch},
        {"dns:aa.example.com", {{DNS("*a.example.com")}}, REASON_cert_name_mismatch},
        {"dns:aa.example.com", {{DNS("a*.example.com")}}, REASON_cert_name_mismatch},
        {"dns:a.b.example.com", {{DNS("*.*.example.com")}}, REASON_cert_name_mismatch},
        /* The kinds do not stand in for each other. */
        {"ip:192.0.2.1", {{IP("\xc0\x00\x02\x01")}}, REASON_ok},
        {"ip:192.0.2.2", {{IP("\xc0\x00\x02\x01")}}, REASON_cert_name_mismatch},
        {"ip:192.0.2.1", {{DNS("192.0.2.1")}}, REASON_cert_name_mismatch},
        {"ip:::1", {{IP("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01")}}, REASON_ok},
        {"dns:a.example.com", {{URI("https://a.example.com")}}, REASON_cert_name_mismatch},
        {"uri:spiffe://td/a", {{DNS("spiffe://td/a")}}, REASON_cert_name_mismatch},
        /* SPIFFE X.509-SVID section 2: exactly one URI. */
        {"uri:spiffe://td/a", {{URI("spiffe://td/a")}}, REASON_ok},
        {"uri:spiffe://td/a", {{DNS("x.example.com"), URI("spiffe://td/a")}}, REASON_ok},
        {"uri:spiffe://td/a", {{URI("spiffe://td/b")}}, REASON_cert_name_mismatch},
        {"uri:spiffe://td/a", {{URI("spiffe://td/a/b")}}, REASON_cert_name_mismatch},
        {"uri:spiffe://td/a",
         {{URI("spiffe://td/a"), URI("spiffe://td/b")}},
         REASON_cert_name_mismatch},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure failure;
        for (int allow = 0; allow < 2; allow++) {
            if (check(&cases[i].names, cases[i].wanted, allow, &failure) != cases[i].reason) {
                fail_msg("case %zu, %s: %s (%s)", i, cases[i].wanted, reason_word(failure.reason),
                         failure.detail);
            }
        }
    }
}

/* A second URI that is too long to be read is a second URI all the same. */
static void test_spiffe_is_not_alone_beside_a_long_uri(void **state)
{
    static char uri[3000] = "uri:";
    struct names names = {{URI("spiffe://td/a"), URI(uri)}};
    struct failure failure;
    (void)state;
    memset(uri, 'x', sizeof(uri) - 1);
    assert_int_equal(check(&names, "uri:spiffe://td/a", false, &failure),
                     REASON_cert_name_mismatch);
}

static void test_common_name_counts_only_alone_and_by_leave(void **state)
{
    static const struct names none = {0};
    static const struct names email = {{EMAIL("a@example.com")}};
    static const struct names uri = {{URI("spiffe://td/a")}};
    struct failure failure;
    (void)state;
    assert_int_equal(check(&none, "dns:cn.example.com", false, &failure), REASON_cert_no_san);
    assert_int_equal(check(&none, "dns:cn.example.com", true, &failure), REASON_ok);
    assert_int_equal(check(&none, "dns:other.example.com", true, &failure),
                     REASON_cert_name_mismatch);
    assert_int_equal(check(&none, "ip:192.0.2.1", true, &failure), REASON_cert_name_mismatch);
    assert_int_equal(check(&email, "dns:cn.example.com", true, &failure),
                     REASON_cert_name_mismatch);
    assert_int_equal(check(&uri, "dns:cn.example.com", true, &failure), REASON_cert_name_mismatch);
}

static void test_mismatch_tells_both_sides(void **state)
{
    static const struct names names = {{DNS("b.example.com"), IP("\xc0\x00\x02\x01")}};
    struct failure failure;
    (void)state;
    check(&names, "dns:a.example.com", false, &failure);
    assert_string_equal(failure.detail, "wanted dns:a.example.com; the certificate is for "
                                        "dns:b.example.com, ip:192.0.2.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_match_by_their_own_kind),
        cmocka_unit_test(test_spiffe_is_not_alone_beside_a_long_uri),
        cmocka_unit_test(test_common_name_counts_only_alone_and_by_leave),
        cmocka_unit_test(test_mismatch_tells_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
