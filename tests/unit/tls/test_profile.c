#include "tls/profile.h"

#include "tests/unit/certs/fixture.h"

static struct trust *load_trust(void)
{
    struct problems *problems = problems_new();
    struct fixture_cert ca = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    (void)unlink("ca.crt");
    fixture_add("ca.crt", &ca);
    struct trust *trust = trust_load(&(struct trust_source){.ca = "ca.crt"}, problems);
    fixture_release(&ca);
    problems_free(problems);
    return trust;
}

static void check_priority(const char *priority, unsigned min, unsigned max, const char *expected)
{
    const char *why = NULL;
    struct trust *trust = load_trust();
    const struct profile_options options = {
        .trust = trust,
        .tls_min = min,
        .tls_max = max,
        .priority = priority,
    };
    struct profile *profile = profile_new(&options, &why);
    if (expected == NULL ? profile == NULL : profile != NULL || strstr(why, expected) == NULL) {
        fail_msg("%s: %s", priority != NULL ? priority : "ours", why);
    }
    profile_unref(profile);
    trust_unref(trust);
}

static void test_priorities(void **state)
{
    (void)state;
    check_priority(NULL, 12, 13, NULL);
    check_priority(NULL, 12, 12, NULL);
    check_priority(NULL, 13, 13, NULL);
    check_priority("SECURE256:%PROFILE_HIGH", 12, 13, NULL);
    check_priority("NORMAL:-GROUP-ALL:+GROUP-X25519", 12, 13, NULL);
    check_priority("NORMALLY", 12, 13, "does not understand");
    check_priority("", 12, 13, "does not understand");
}

static void test_priorities_cannot_change_verification(void **state)
{
    (void)state;
    check_priority("NORMAL:%VERIFY_ALLOW_SIGN_WITH_SHA1", 12, 13, "how backends are verified");
    check_priority("NORMAL:%verify_allow_broken", 12, 13, "how backends are verified");
    check_priority("NORMAL:%PROFILE_LOW", 12, 13, "how backends are verified");
    check_priority("NORMAL:%DISABLE_WILDCARDS", 12, 13, "how backends are verified");
    check_priority("NORMAL:%PROFILE_VERY_WEAK", 12, 13, "how backends are verified");
}

static void test_lists_are_copied(void **state)
{
    (void)state;
    char name[] = "api.example.com", protocol[] = "h2";
    const struct name names[] = {{.kind = NAME_DNS, .text = name}};
    const char *const alpn[] = {protocol};
    const uint8_t pins[1][32] = {{1, 2, 3}};
    const char *why;
    struct trust *trust = load_trust();
    const struct profile_options options = {
        .trust = trust,
        .sni = PROFILE_SNI_NAME,
        .sni_name = name,
        .names = names,
        .n_names = 1,
        .pins = pins,
        .n_pins = 1,
        .alpn = alpn,
        .n_alpn = 1,
        .tls_min = 12,
        .tls_max = 13,
    };
    struct profile *profile = profile_new(&options, &why);
    assert_non_null(profile);
    memset(name, 0, sizeof(name));
    memset(protocol, 0, sizeof(protocol));
    trust_unref(trust);
    assert_ptr_equal(profile_ref(profile), profile);
    assert_null(profile_unref(profile));
    assert_null(profile_unref(profile));
    assert_null(profile_unref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_priorities_cannot_change_verification),
        cmocka_unit_test(test_lists_are_copied),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
