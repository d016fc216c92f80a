#include "probe/json.h"

#include <jansson.h>

#include "tests/unit/probe/fixture.h"

/* What is printed; the caller frees it. */
static char *print(const struct fixture *fixture)
{
    char *text;
    FILE *out = fixture_open(&text);
    assert_int_equal(json_print(&fixture->report, out), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_printed(const struct fixture *fixture, const char *expected)
{
    char *text = print(fixture);
    assert_string_equal(text, expected);
    free(text);
}

static const char good[] =
    "{\n"
    "  \"version\": 1,\n"
    "  \"time\": \"2026-11-21T12:00:00Z\",\n"
    "  \"good\": true,\n"
    "  \"services\": [\n"
    "    {\n"
    "      \"service\": \"order-service\",\n"
    "      \"good\": true,\n"
    "      \"verdict\": \"ok\",\n"
    "      \"side\": null,\n"
    "      \"detail\": null,\n"
    "      \"advice\": null,\n"
    "      \"warnings\": [\n"
    "        \"look here\"\n"
    "      ],\n"
    "      \"dns\": [\n"
    "        {\n"
    "          \"host\": \"api.example.com\",\n"
    "          \"port\": 443,\n"
    "          \"addresses\": [\n"
    "            {\n"
    "              \"address\": \"192.0.2.10\",\n"
    "              \"ttl\": 60\n"
    "            },\n"
    "            {\n"
    "              \"address\": \"2001:db8::10\",\n"
    "              \"ttl\": 60\n"
    "            }\n"
    "          ],\n"
    "          \"aliases\": [\n"
    "            \"lb.example.net\",\n"
    "            \"eu.lb.example.net\"\n"
    "          ],\n"
    "          \"ttl\": 60,\n"
    "          \"failure\": null,\n"
    "          \"seconds\": 0.003\n"
    "        }\n"
    "      ],\n"
    "      \"endpoints\": [\n"
    "        {\n"
    "          \"address\": \"192.0.2.10:443\",\n"
    "          \"host\": \"api.example.com\",\n"
    "          \"reason\": \"ok\",\n"
    "          \"side\": null,\n"
    "          \"detail\": null,\n"
    "          \"connect_seconds\": 0.0012,\n"
    "          \"handshake_seconds\": 0.02513,\n"
    "          \"established\": true,\n"
    "          \"confirmed\": true,\n"
    "          \"tls\": {\n"
    "            \"version\": \"1.3\",\n"
    "            \"cipher\": \"AES-256-GCM\",\n"
    "            \"group\": \"X25519\",\n"
    "            \"alpn\": \"h2\"\n"
    "          },\n"
    "          \"client_certificate\": {\n"
    "            \"asked\": true,\n"
    "            \"sent\": true,\n"
    "            \"issuer_matched\": true,\n"
    "            \"accepted_issuers\": null\n"
    "          },\n"
    "          \"alert\": null,\n"
    "          \"resumption\": \"works\",\n"
    "          \"chain\": [\n"
    "            {\n"
    "              \"subject\": \"CN=api.example.com\",\n"
    "              \"issuer\": \"CN=Orders Issuing CA\",\n"
    "              \"names\": \"dns:api.example.com, dns:orders.example.com\",\n"
    "              \"not_before\": \"2026-11-11T12:00:00Z\",\n"
    "              \"not_after\": \"2027-02-18T12:00:00Z\",\n"
    "              \"days_left\": 89,\n"
    "              \"soon\": false\n"
    "            },\n"
    "            {\n"
    "              \"subject\": \"CN=Orders Issuing CA\",\n"
    "              \"issuer\": \"CN=Orders Root CA\",\n"
    "              \"names\": null,\n"
    "              \"not_before\": \"2026-11-11T12:00:00Z\",\n"
    "              \"not_after\": \"2030-03-05T12:00:00Z\",\n"
    "              \"days_left\": 1200,\n"
    "              \"soon\": false\n"
    "            }\n"
    "          ],\n"
    "          \"pin\": \"" PIN "\"\n"
    "        }\n"
    "      ],\n"
    "      \"certificate\": [\n"
    "        {\n"
    "          \"subject\": \"CN=gateway,O=Example\",\n"
    "          \"issuer\": \"CN=Clients CA\",\n"
    "          \"names\": null,\n"
    "          \"not_before\": \"2026-11-11T12:00:00Z\",\n"
    "          \"not_after\": \"2026-12-03T12:00:00Z\",\n"
    "          \"days_left\": 12,\n"
    "          \"soon\": true\n"
    "        }\n"
    "      ],\n"
    "      \"ca\": [\n"
    "        {\n"
    "          \"subject\": \"CN=Orders Root CA\",\n"
    "          \"issuer\": \"CN=Orders Root CA\",\n"
    "          \"names\": null,\n"
    "          \"not_before\": \"2026-11-11T12:00:00Z\",\n"
    "          \"not_after\": \"2035-02-07T12:00:00Z\",\n"
    "          \"days_left\": 3000,\n"
    "          \"soon\": false\n"
    "        }\n"
    "      ],\n"
    "      \"http\": {\n"
    "        \"method\": \"HEAD\",\n"
    "        \"url\": \"https://api.example.com/\",\n"
    "        \"via_agent\": false,\n"
    "        \"address\": \"192.0.2.10:443\",\n"
    "        \"status\": 200,\n"
    "        \"version\": \"1.1\",\n"
    "        \"server\": \"nginx\",\n"
    "        \"failure\": null,\n"
    "        \"seconds\": 0.00425\n"
    "      }\n"
    "    }\n"
    "  ]\n"
    "}\n";

static void a_good_link(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture.host.n = 2;
    fixture.host.aliases = constant("lb.example.net eu.lb.example.net");
    fixture.own[0].not_after = NOW + 12 * DAY;
    fixture.warnings[0] = constant("look here");
    fixture.service.n_warnings = 1;
    assert_printed(&fixture, good);
}

static const char refused[] =
    "{\n"
    "  \"version\": 1,\n"
    "  \"time\": \"2026-11-21T12:00:00Z\",\n"
    "  \"good\": false,\n"
    "  \"services\": [\n"
    "    {\n"
    "      \"service\": \"order-service\",\n"
    "      \"good\": false,\n"
    "      \"verdict\": \"client_cert_required\",\n"
    "      \"side\": \"they_refused\",\n"
    "      \"detail\": \"the backend sent alert 116\",\n"
    "      \"advice\": \"the backend wants a client certificate: set tls_mode = mtls and "
    "`certificate`\",\n"
    "      \"warnings\": [],\n"
    "      \"dns\": [\n"
    "        {\n"
    "          \"host\": \"api.example.com\",\n"
    "          \"port\": 443,\n"
    "          \"addresses\": [\n"
    "            {\n"
    "              \"address\": \"192.0.2.10\",\n"
    "              \"ttl\": null\n"
    "            }\n"
    "          ],\n"
    "          \"aliases\": [],\n"
    "          \"ttl\": null,\n"
    "          \"failure\": null,\n"
    "          \"seconds\": 0.003\n"
    "        }\n"
    "      ],\n"
    "      \"endpoints\": [\n"
    "        {\n"
    "          \"address\": \"192.0.2.10:443\",\n"
    "          \"host\": \"api.example.com\",\n"
    "          \"reason\": \"client_cert_required\",\n"
    "          \"side\": \"they_refused\",\n"
    "          \"detail\": \"the backend sent alert 116\",\n"
    "          \"connect_seconds\": 0.0012,\n"
    "          \"handshake_seconds\": null,\n"
    "          \"established\": false,\n"
    "          \"confirmed\": false,\n"
    "          \"tls\": null,\n"
    "          \"client_certificate\": {\n"
    "            \"asked\": true,\n"
    "            \"sent\": false,\n"
    "            \"issuer_matched\": false,\n"
    "            \"accepted_issuers\": \"CN=Partners CA\"\n"
    "          },\n"
    "          \"alert\": 116,\n"
    "          \"resumption\": null,\n"
    "          \"chain\": [],\n"
    "          \"pin\": null\n"
    "        }\n"
    "      ],\n"
    "      \"certificate\": null,\n"
    "      \"ca\": null,\n"
    "      \"http\": null\n"
    "    }\n"
    "  ]\n"
    "}\n";

static void a_link_that_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    fixture_fail(&fixture, REASON_client_cert_required, true, "the backend sent alert 116");
    fixture.host.has_ttl = false;
    fixture.endpoints[0].version = NULL;
    fixture.endpoints[0].evidence =
        (struct evidence){.asked = true, .alert = 116, .accepted = constant("CN=Partners CA")};
    fixture.service.own = fixture.service.cas = NULL;
    fixture.service.n_own = fixture.service.n_cas = 0;
    assert_printed(&fixture, refused);
}

/* The only service of what is printed; the caller releases the root. */
static json_t *parse(const struct fixture *fixture, json_t **ret_root)
{
    char *text = print(fixture);
    json_error_t error;
    *ret_root = json_loads(text, 0, &error);
    if (*ret_root == NULL) {
        fail_msg("%s in line %d of %s", error.text, error.line, text);
    }
    for (const char *at = text; *at != '\0'; at++) {
        assert_true((*at >= ' ' && *at < 0x7f) || *at == '\n');
    }
    free(text);
    return json_array_get(json_object_get(*ret_root, "services"), 0);
}

static const char *string_of(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void any_bytes_make_valid_utf8(void **state)
{
    (void)state;
    struct {
        const char *bytes, *told;
    } const cases[] = {
        {"", ""},
        {"CN=M\xc3\xbcller,O=\xe8\xae\xa2\xe5\x8d\x95 \xf0\x9f\x94\x91", NULL},
        {"quote \" and \\", NULL},
        {"\033[2J\r\n\xc2\x9bm\xe2\x80\xae", NULL},
        {"CN=\xff", "CN=\xef\xbf\xbd"},
        {"CN=\xc3", "CN=\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80.", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd."},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    struct fixture fixture;
    fixture_set_up(&fixture);
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *root;
        fixture.own[0].subject = constant(cases[i].bytes);
        json_t *service = parse(&fixture, &root);
        json_t *leaf = json_array_get(json_object_get(service, "certificate"), 0);
        assert_string_equal(string_of(leaf, "subject"),
                            cases[i].told != NULL ? cases[i].told : cases[i].bytes);
        json_decref(root);
    }
}

static void dates_are_rfc_3339_or_null(void **state)
{
    (void)state;
    struct {
        time_t when;
        const char *told;
    } const cases[] = {
        {0, "1970-01-01T00:00:00Z"}, {253402300799, "9999-12-31T23:59:59Z"},
        {253402300800, NULL},        {-62135596800, "0001-01-01T00:00:00Z"},
        {-62167219201, NULL},        {INT64_MAX, NULL},
    };
    struct fixture fixture;
    fixture_set_up(&fixture);
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *root;
        fixture.own[0].not_before = cases[i].when;
        json_t *service = parse(&fixture, &root);
        json_t *leaf = json_array_get(json_object_get(service, "certificate"), 0);
        assert_true(json_object_get(leaf, "not_before") != NULL);
        if (cases[i].told != NULL) {
            assert_string_equal(string_of(leaf, "not_before"), cases[i].told);
        } else {
            assert_true(json_is_null(json_object_get(leaf, "not_before")));
        }
        json_decref(root);
    }
}

static void what_cannot_be_written_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_int_equal(json_print(&fixture.report, full), -1);
    fclose(full);
}

static size_t memory_left;

static void *scarce_malloc(size_t size)
{
    if (memory_left == 0) {
        return NULL;
    }
    memory_left--;
    return malloc(size);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_set_up(&fixture);
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    size_t n = 0;
    json_set_alloc_funcs(scarce_malloc, free);
    do {
        memory_left = n++;
    } while (json_print(&fixture.report, out) < 0);
    json_set_alloc_funcs(malloc, free);
    assert_in_range(n, 50, 5000);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_link),
        cmocka_unit_test(a_link_that_is_refused),
        cmocka_unit_test(any_bytes_make_valid_utf8),
        cmocka_unit_test(dates_are_rfc_3339_or_null),
        cmocka_unit_test(what_cannot_be_written_is_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
