#include "status/exposition.h"
#include "status/metrics.h"

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

static char *render(void)
{
    struct writer writer = {0};
    size_t len;
    metrics_write(&fixture.view, &writer);
    char *text = writer_take(&writer, &len);
    assert_non_null(text);
    return text;
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = text; (at = strstr(at, line)) != NULL; at += len) {
        if ((at == text || at[-1] == '\n') && at[len] == '\n') {
            return true;
        }
    }
    return false;
}

#define EXPECT_LINE(text, line)                                                                    \
    do {                                                                                           \
        if (!has_line(text, line)) {                                                               \
            fail_msg("no line '%s' in:\n%s", line, text);                                          \
        }                                                                                          \
    } while (0)

static void test_a_service_s_counters(void **state)
{
    static const char *const lines[] = {
        "# TYPE mtls_agent_connections_opened_total counter",
        "mtls_agent_connections_opened_total{service=\"orders\"} 120",
        "mtls_agent_connections_active{service=\"orders\"} 3",
        "mtls_agent_connections_limit{service=\"orders\"} 10000",
        "mtls_agent_connections_ended_total{service=\"orders\",reason=\"ok\",side=\"local\"} 117",
        "mtls_agent_sent_bytes_total{service=\"orders\"} 3210987",
        "mtls_agent_received_bytes_total{service=\"orders\"} 987654321",
        "mtls_agent_handshakes_total{service=\"orders\",kind=\"full\"} 100",
        "mtls_agent_handshakes_total{service=\"orders\",kind=\"resumed\"} 20",
        "mtls_agent_warm_sessions{service=\"orders\"} 4",
        "mtls_agent_warm_sessions_ended_total{service=\"orders\",result=\"used\"} 90",
        "mtls_agent_warm_sessions_ended_total{service=\"orders\",result=\"aged\"} 7",
        "mtls_agent_warm_sessions_ended_total{service=\"orders\",result=\"closed\"} 1",
        "mtls_agent_warm_sessions_ended_total{service=\"orders\",result=\"failed\"} 2",
        "mtls_agent_warm_sessions_ended_total{service=\"orders\",result=\"dropped\"} 3",
        "mtls_agent_service_state{service=\"orders\",state=\"ok\"} 1",
        "mtls_agent_service_state{service=\"payments\",state=\"failing\"} 1",
        "mtls_agent_service_state{service=\"payments\",state=\"ok\"} 0",
        "mtls_agent_service_held{service=\"payments\"} 1",
        "mtls_agent_last_success_timestamp_seconds{service=\"orders\"} 1795262398",
        "mtls_agent_last_failure_timestamp_seconds{service=\"payments\"} 1795262339",
        "mtls_agent_endpoints{service=\"orders\"} 2",
        "mtls_agent_endpoints{service=\"mesh\"} 0",
        "mtls_agent_dns_age_seconds{service=\"orders\"} 12.345",
        "mtls_agent_dns_failing{service=\"ledger\"} 1",
        "mtls_agent_backend_not_after_seconds{service=\"orders\"} 1799150400",
    };
    (void)state;
    char *text = render();
    for (size_t i = 0; i < COUNT(lines); i++) {
        EXPECT_LINE(text, lines[i]);
    }
    EXPECT_LINE(text, "mtls_agent_attempts_failed_total{service=\"payments\","
                      "reason=\"client_cert_untrusted\",side=\"they_refused\"} 1");
    free(text);
}

static void test_what_has_not_happened_has_no_sample(void **state)
{
    (void)state;
    char *text = render();
    assert_null(strstr(text, "mtls_agent_last_success_timestamp_seconds{service=\"inventory\"}"));
    assert_null(strstr(text, "mtls_agent_backend_not_after_seconds{service=\"inventory\"}"));
    assert_null(strstr(text, "mtls_agent_dns_age_seconds{service=\"inventory\"}"));
    assert_null(strstr(text, "mtls_agent_handshakes_failed_total{"));
    EXPECT_LINE(text, "# TYPE mtls_agent_handshakes_failed_total counter");
    assert_null(strstr(text, "mtls_agent_warm_sessions{service=\"inventory\"}"));
    assert_null(strstr(text, "mtls_agent_warm_sessions_ended_total{service=\"inventory\""));
    free(text);
}

static void test_a_service_that_is_to_be_prewarmed_has_samples(void **state)
{
    (void)state;
    fixture.configs[INVENTORY].prewarm = 1;
    char *text = render();
    EXPECT_LINE(text, "mtls_agent_warm_sessions{service=\"inventory\"} 0");
    EXPECT_LINE(text,
                "mtls_agent_warm_sessions_ended_total{service=\"inventory\",result=\"used\"} 0");
    free(text);
}

static void test_certificates_of_one_subject_are_told_apart(void **state)
{
    (void)state;
    char *text = render();
    EXPECT_LINE(text, "mtls_agent_ca_not_after_seconds{file=\"/etc/mtls-agent/pki/orders-ca.crt\","
                      "subject=\"CN=Orders CA\",position=\"1\"} 2054462400");
    EXPECT_LINE(text, "mtls_agent_ca_not_after_seconds{file=\"/etc/mtls-agent/pki/orders-ca.crt\","
                      "subject=\"CN=Orders CA\",position=\"2\"} 1796299200");
    EXPECT_LINE(text, "mtls_agent_certificate_not_after_seconds{certificate=\"mesh\","
                      "file=\"/etc/mtls-agent/pki/mesh.crt\",subject=\"O=mesh\",position=\"1\"} "
                      "1795435200");
    EXPECT_LINE(text, "mtls_agent_certificate_problem{certificate=\"mesh\","
                      "file=\"/etc/mtls-agent/pki/mesh.crt\"} 1");
    EXPECT_LINE(text, "mtls_agent_ca_problem{file=\"/etc/mtls-agent/pki/orders-ca.crt\"} 0");
    free(text);
}

/* As there are when services use it with different lists of CRLs. */
static void test_a_file_of_cas_may_be_there_twice(void **state)
{
    (void)state;
    fixture.trusts[1] = fixture.trusts[0];
    fixture.trusts[1].problem = "something";
    char *text = render();
    const char *ca = "mtls_agent_ca_not_after_seconds{file=\"/etc/mtls-agent/pki/orders-ca.crt\","
                     "subject=\"CN=Orders CA\",position=\"1\"} ";
    const char *first = strstr(text, ca);
    assert_non_null(first);
    assert_null(strstr(first + 1, ca));
    EXPECT_LINE(text, "mtls_agent_ca_problem{file=\"/etc/mtls-agent/pki/orders-ca.crt\"} 1");
    EXPECT_LINE(text,
                "mtls_agent_crl_next_update_seconds{file=\"/etc/mtls-agent/pki/orders-ca.crt\","
                "source=\"/etc/mtls-agent/pki/orders.crl\",issuer=\"CN=Orders CA\","
                "position=\"3\"} 1795780800");
    free(text);
}

static void test_a_crl_that_is_missing_is_due(void **state)
{
    (void)state;
    fixture.crls[0].next_update = 0; /* it does not say */
    char *text = render();
    EXPECT_LINE(text,
                "mtls_agent_crl_next_update_seconds{file=\"/etc/mtls-agent/pki/orders-ca.crt\","
                "source=\"http://pki.example.com/orders.crl\",issuer=\"\",position=\"2\"} 0");
    assert_null(strstr(text, "source=\"/etc/mtls-agent/pki/orders.crl\""));
    free(text);
}

static void test_the_configuration(void **state)
{
    (void)state;
    char *text = render();
    EXPECT_LINE(text, "mtls_agent_configuration_generation 3");
    EXPECT_LINE(text, "mtls_agent_configuration_changed_timestamp_seconds 1795258800");
    EXPECT_LINE(text, "mtls_agent_last_reload_successful 0");
    EXPECT_LINE(text, "mtls_agent_last_reload_timestamp_seconds 1795262340");
    EXPECT_LINE(text, "mtls_agent_ready 0");
    EXPECT_LINE(text, "mtls_agent_draining 0");
    free(text);
    fixture.view.reload = VIEW_RELOAD_NONE;
    text = render();
    EXPECT_LINE(text, "mtls_agent_last_reload_successful 1");
    assert_null(strstr(text, "mtls_agent_last_reload_timestamp_seconds 1"));
    free(text);
}

static void test_labels_are_escaped(void **state)
{
    (void)state;
    fixture.other_cas[0].subject = constant("CN=a\\b\"c\nd\xff\xc3\xa9");
    char *text = render();
    assert_non_null(strstr(text, "subject=\"CN=a\\\\b\\\"c\\nd\xef\xbf\xbd\xc3\xa9\""));
    free(text);
}

/* Every sample belongs to the family above it, and no family comes twice. */
static void test_families_stand_together(void **state)
{
    char name[128] = "", pattern[160];
    (void)state;
    char *text = render(), *rest = NULL;
    char *copy = strdup(text);
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "# HELP %127s", name) == 1) {
            snprintf(pattern, sizeof(pattern), "# TYPE %s ", name);
            const char *first = strstr(text, pattern);
            assert_non_null(first);
            assert_null(strstr(first + 1, pattern));
        } else if (line[0] != '#') {
            assert_memory_equal(line, name, strlen(name));
        }
    }
    free(copy);
    free(text);
}

static void test_a_histogram_is_cumulative(void **state)
{
    struct histogram histogram = {0};
    struct writer writer = {0};
    struct exposition exposition = {.out = &writer, .family = "h"};
    size_t len;
    (void)state;
    histogram_add(&histogram, 400);
    histogram_add(&histogram, 500);
    histogram_add(&histogram, 501);
    histogram_add(&histogram, 20000000);
    exposition_histogram(&exposition, "service", "s", &histogram);
    char *text = writer_take(&writer, &len);
    EXPECT_LINE(text, "h_bucket{service=\"s\",le=\"0.0005\"} 2");
    EXPECT_LINE(text, "h_bucket{service=\"s\",le=\"0.001\"} 3");
    EXPECT_LINE(text, "h_bucket{service=\"s\",le=\"1\"} 3");
    EXPECT_LINE(text, "h_bucket{service=\"s\",le=\"10\"} 3");
    EXPECT_LINE(text, "h_bucket{service=\"s\",le=\"+Inf\"} 4");
    EXPECT_LINE(text, "h_sum{service=\"s\"} 20.001401");
    EXPECT_LINE(text, "h_count{service=\"s\"} 4");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_service_s_counters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_not_happened_has_no_sample, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_service_that_is_to_be_prewarmed_has_samples, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_certificates_of_one_subject_are_told_apart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_file_of_cas_may_be_there_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_crl_that_is_missing_is_due, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_labels_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_families_stand_together, setup, teardown),
        cmocka_unit_test(test_a_histogram_is_cumulative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
