#include "status/json.h"

#include <jansson.h>

#include "tests/unit/status/fixture.h"

static struct fixture fixture;

static int setup(void **state)
{
    (void)state;
    fixture_fill(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_release(&fixture);
    return 0;
}

static json_t *parse(char *text)
{
    assert_non_null(text);
    for (const char *at = text; *at != '\0'; at++) {
        assert_true((unsigned char)*at < 0x80);
    }
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    free(text);
    return root;
}

static json_t *service_of(const json_t *root, size_t i)
{
    return json_array_get(json_object_get(root, "services"), i);
}

/* An object has these keys, in this order, and no other. */
static void expect_keys(json_t *object, const char *const *keys, size_t n)
{
    size_t i = 0;
    const char *key;
    json_t *value;
    assert_true(json_is_object(object));
    json_object_foreach(object, key, value)
    {
        assert_true(i < n);
        assert_string_equal(key, keys[i++]);
    }
    assert_int_equal(i, n);
}

#define EXPECT_KEYS(object, ...)                                                                   \
    expect_keys(object, (const char *const[]){__VA_ARGS__},                                        \
                COUNT(((const char *const[]){__VA_ARGS__})))

static void test_all_keys_are_there(void **state)
{
    (void)state;
    json_t *root = parse(json_status(&fixture.view));
    EXPECT_KEYS(root, "version", "pid", "state", "ready", "started", "uptime_seconds", "workers",
                "configuration", "log", "process", "certificates", "cas", "services");
    EXPECT_KEYS(json_object_get(root, "configuration"), "file", "generation", "changed",
                "last_reload");
    EXPECT_KEYS(json_object_get(root, "process"), "resident_bytes", "cpu_seconds",
                "open_descriptors", "max_descriptors");
    EXPECT_KEYS(json_array_get(json_object_get(root, "certificates"), 0), "name", "file", "subject",
                "issuer", "not_before", "not_after", "days_left", "problem");
    EXPECT_KEYS(json_array_get(json_object_get(root, "cas"), 0), "file", "certificates", "crls",
                "problem");
    for (size_t i = 0; i < N_SERVICES; i++) {
        json_t *service = service_of(root, i);
        EXPECT_KEYS(service, "name", "state", "listen", "address", "certificate", "ca", "endpoints",
                    "dns", "connections", "bytes", "handshakes", "warm", "attempts_failed",
                    "last_success", "last_failure", "days_left", "backend_not_after", "held");
        EXPECT_KEYS(json_object_get(service, "connections"), "active", "opened", "limit", "ended");
        EXPECT_KEYS(json_object_get(service, "warm"), "ready", "used", "aged", "closed", "failed",
                    "dropped");
        EXPECT_KEYS(json_object_get(service, "days_left"), "own", "ca", "backend");
    }
    json_decref(root);
}

static void test_a_service_that_works(void **state)
{
    const char *last_success, *word;
    double age;
    int active, ok, own, ca, backend;
    (void)state;
    json_t *root = parse(json_status(&fixture.view));
    assert_int_equal(
        json_unpack(service_of(root, ORDERS),
                    "{s:s, s:{s:F}, s:{s:i, s:{s:i}}, s:s, s:n, s:{s:i, s:i, s:i}, s:n}", "state",
                    &word, "dns", "age_seconds", &age, "connections", "active", &active, "ended",
                    "ok", &ok, "last_success", &last_success, "last_failure", "days_left", "own",
                    &own, "ca", &ca, "backend", &backend, "held"),
        0);
    assert_string_equal(word, "ok");
    assert_true(age > 12.3449 && age < 12.3451);
    assert_int_equal(active, 3);
    assert_int_equal(ok, 117);
    assert_string_equal(last_success, "2026-11-21T11:59:58Z");
    assert_int_equal(own, 81);
    assert_int_equal(ca, 12); /* the least of its CAs */
    assert_int_equal(backend, 45);
    json_decref(root);
}

static void test_resumed_and_warm_sessions(void **state)
{
    int full, resumed, warm[6];
    (void)state;
    json_t *root = parse(json_status(&fixture.view));
    assert_int_equal(json_unpack(service_of(root, ORDERS),
                                 "{s:{s:i, s:i}, s:{s:i, s:i, s:i, s:i, s:i, s:i}}", "handshakes",
                                 "full", &full, "resumed", &resumed, "warm", "ready", &warm[0],
                                 "used", &warm[1], "aged", &warm[2], "closed", &warm[3], "failed",
                                 &warm[4], "dropped", &warm[5]),
                     0);
    assert_int_equal(full, 100);
    assert_int_equal(resumed, 20);
    assert_memory_equal(warm, ((int[]){4, 90, 7, 1, 2, 3}), sizeof(warm));
    json_decref(root);
}

static void test_a_service_that_fails(void **state)
{
    const char *when, *reason, *side, *detail, *advice;
    double age;
    int count;
    (void)state;
    json_t *root = parse(json_status(&fixture.view));
    json_t *service = service_of(root, PAYMENTS);
    assert_int_equal(json_unpack(service, "{s:{s:s, s:F, s:s, s:s, s:s, s:s}, s:{s:i}}",
                                 "last_failure", "time", &when, "age_seconds", &age, "reason",
                                 &reason, "side", &side, "detail", &detail, "advice", &advice,
                                 "attempts_failed", "client_cert_untrusted", &count),
                     0);
    assert_string_equal(when, "2026-11-21T11:58:59Z");
    assert_true(age > 60.9 && age < 61.1);
    assert_string_equal(reason, "client_cert_untrusted");
    assert_string_equal(side, "they_refused");
    assert_string_equal(advice, reason_advice(REASON_client_cert_untrusted));
    assert_int_equal(count, 1);
    assert_true(json_is_string(json_object_get(service, "held")));
    json_decref(root);
}

static void test_what_is_unknown_is_null(void **state)
{
    (void)state;
    json_t *root = parse(json_status(&fixture.view));
    json_t *service = service_of(root, LEDGER);
    assert_true(json_is_null(json_object_get(service, "certificate")));
    assert_true(json_is_null(json_object_get(service, "last_success")));
    assert_true(json_is_null(json_object_get(service, "backend_not_after")));
    assert_true(json_is_null(json_object_get(json_object_get(service, "dns"), "age_seconds")));
    assert_int_equal(json_array_size(json_object_get(service, "endpoints")), 0);
    assert_int_equal(json_object_size(json_object_get(service, "attempts_failed")), 0);
    json_decref(root);
}

static void test_addresses(void **state)
{
    (void)state;
    fixture.listens[ORDERS] = (struct config_listen){.systemd = constant("web")};
    json_t *root = parse(json_status(&fixture.view));
    const char *listen, *address, *first, *second;
    assert_int_equal(json_unpack(service_of(root, ORDERS), "{s:[s], s:[s, s]}", "listen", &listen,
                                 "endpoints", &first, &second),
                     0);
    assert_string_equal(listen, "systemd:web");
    assert_string_equal(first, "192.0.2.10:443");
    assert_string_equal(second, "[2001:db8::10]:443");
    assert_int_equal(json_unpack(service_of(root, INVENTORY), "{s:[s]}", "address", &address), 0);
    assert_string_equal(address, "[2001:db8::10]:443");
    json_decref(root);
}

static void test_text_from_elsewhere_may_be_anything(void **state)
{
    (void)state;
    fixture.chain[0].subject = constant("CN=\"\\\x01\xff\xc3\xa9\xe2\x80\xae");
    json_t *root = parse(json_status(&fixture.view));
    json_t *certificate = json_array_get(json_object_get(root, "certificates"), 0);
    assert_string_equal(json_string_value(json_object_get(certificate, "subject")),
                        "CN=\"\\\x01\xef\xbf\xbd\xc3\xa9\xe2\x80\xae");
    json_decref(root);
}

static void test_readiness(void **state)
{
    (void)state;
    fixture.services[MESH].endpoints = fixture.endpoints;
    fixture.services[LEDGER].endpoints = fixture.endpoints;
    json_t *root = parse(json_status(&fixture.view));
    assert_true(json_is_true(json_object_get(root, "ready")));
    json_decref(root);
    fixture.view.is_draining = true;
    root = parse(json_status(&fixture.view));
    assert_true(json_is_false(json_object_get(root, "ready")));
    assert_string_equal(json_string_value(json_object_get(root, "state")), "draining");
    json_decref(root);
}

static void test_a_reload(void **state)
{
    static const char *const faults[] = {"a.conf:1: no"}, *const warnings[] = {"b.conf:2: hm"};
    const struct view_reload reload = {
        .generation = 3,
        .unchanged = 7,
        .faults = faults,
        .n_faults = 1,
        .warnings = warnings,
        .n_warnings = 1,
    };
    const char *result, *fault, *warning;
    int generation, unchanged;
    (void)state;
    json_t *root = parse(json_reload(&reload));
    EXPECT_KEYS(root, "result", "generation", "added", "changed", "removed", "unchanged", "faults",
                "warnings");
    assert_int_equal(json_unpack(root, "{s:s, s:i, s:i, s:[s], s:[s]}", "result", &result,
                                 "generation", &generation, "unchanged", &unchanged, "faults",
                                 &fault, "warnings", &warning),
                     0);
    assert_string_equal(result, "refused");
    assert_int_equal(generation, 3);
    assert_int_equal(unchanged, 7);
    assert_string_equal(fault, faults[0]);
    assert_string_equal(warning, warnings[0]);
    json_decref(root);
}

/* Memory may be out anywhere: then there is no document, and nothing is lost. */
static long allocations_left;

static void *allocate(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void test_memory_may_be_out(void **state)
{
    char *text = NULL;
    (void)state;
    json_set_alloc_funcs(allocate, free);
    for (long n = 0; text == NULL; n++) {
        allocations_left = n;
        text = json_status(&fixture.view);
        assert_true(n < 10000);
    }
    json_set_alloc_funcs(malloc, free);
    json_decref(parse(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_keys_are_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_service_that_works, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resumed_and_warm_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_service_that_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_unknown_is_null, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_from_elsewhere_may_be_anything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readiness, setup, teardown),
        cmocka_unit_test(test_a_reload),
        cmocka_unit_test_setup_teardown(test_memory_may_be_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
