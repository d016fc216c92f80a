#include "status/reply.h"

#include "tests/unit/status/fixture.h"

static enum route find(const char *method, const char *path, const char *host, bool is_local)
{
    return route_find(&(struct route_request){method, path, host, is_local});
}

static void test_paths(void **state)
{
    static const struct {
        const char *path;
        enum route route;
    } cases[] = {
        {"/", ROUTE_PAGE},          {"/status", ROUTE_STATUS},   {"/metrics", ROUTE_METRICS},
        {"/healthz", ROUTE_HEALTH}, {"/readyz", ROUTE_READY},    {"", ROUTE_UNKNOWN},
        {"/Status", ROUTE_UNKNOWN}, {"/status/", ROUTE_UNKNOWN}, {"//", ROUTE_UNKNOWN},
        {"/../etc", ROUTE_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(find("GET", cases[i].path, "localhost", true), cases[i].route);
        assert_int_equal(find("HEAD", cases[i].path, "localhost", false), cases[i].route);
    }
}

static void test_methods(void **state)
{
    (void)state;
    assert_int_equal(find("POST", "/metrics", NULL, true), ROUTE_METHOD_GET);
    assert_int_equal(find("get", "/metrics", NULL, true), ROUTE_METHOD_GET);
    assert_int_equal(find("GET", "/reload", NULL, true), ROUTE_METHOD_POST);
    assert_int_equal(find("HEAD", "/reload", NULL, false), ROUTE_METHOD_POST);
    assert_int_equal(find("POST", "/reload", NULL, true), ROUTE_RELOAD);
    assert_int_equal(find("POST", "/reload", "localhost", false), ROUTE_NOT_FROM_TCP);
    assert_int_equal(find("POST", "/nowhere", NULL, true), ROUTE_UNKNOWN);
}

static void test_hosts(void **state)
{
    static const char *const ours[] = {
        "localhost",   "LocalHost:9464", "127.0.0.1",  "127.0.0.1:9464",
        "127.9.9.9:1", "[::1]",          "[::1]:9464", "localhost:",
    };
    static const char *const others[] = {
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.example:9464",
        "192.0.2.1",
        "[2001:db8::1]",
        "localhost:80:90",
        "127.0.0.1.evil.example",
        "[::1",
        "[::1]x",
        "::1",
        "localhost:9464/",
        "0.0.0.0",
        "127.1",
        "localhost ",
        "localhost:x",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(ours); i++) {
        assert_int_equal(find("GET", "/metrics", ours[i], false), ROUTE_METRICS);
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(find("GET", "/metrics", others[i], false), ROUTE_OTHER_HOST);
        assert_int_equal(find("GET", "/metrics", others[i], true), ROUTE_METRICS);
    }
    assert_int_equal(find("GET", "/metrics", NULL, false), ROUTE_METRICS); /* no browser */
}

static void expect_reply(enum route route, const struct view *view, unsigned status,
                         const char *body)
{
    struct reply reply;
    reply_make(route, view, &reply);
    assert_int_equal(reply.status, status);
    if (body != NULL) {
        assert_string_equal(reply.body, body);
    }
    assert_int_equal(reply.len, strlen(reply.body));
    assert_true((reply.allow != NULL) == (status == 405));
    free(reply.body);
}

static void test_replies(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_fill(&fixture);
    expect_reply(ROUTE_HEALTH, NULL, 200, "ok\n");
    expect_reply(ROUTE_UNKNOWN, NULL, 404, NULL);
    expect_reply(ROUTE_METHOD_GET, NULL, 405, NULL);
    expect_reply(ROUTE_METHOD_POST, NULL, 405, NULL);
    expect_reply(ROUTE_NOT_FROM_TCP, NULL, 403, NULL);
    expect_reply(ROUTE_OTHER_HOST, NULL, 403, NULL);
    expect_reply(ROUTE_PAGE, &fixture.view, 200, NULL);
    expect_reply(ROUTE_STATUS, &fixture.view, 200, NULL);
    expect_reply(ROUTE_METRICS, &fixture.view, 200, NULL);
    fixture_release(&fixture);
}

static void test_readiness(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_fill(&fixture);
    expect_reply(ROUTE_READY, &fixture.view, 503,
                 "mesh: no address\nledger: no address: ledger.example.com: no such name\n");
    fixture.view.n_services = 1;
    expect_reply(ROUTE_READY, &fixture.view, 200, "ok\n");
    fixture.view.is_draining = true;
    expect_reply(ROUTE_READY, &fixture.view, 503, "the agent drains\n");
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),     cmocka_unit_test(test_methods),
        cmocka_unit_test(test_hosts),     cmocka_unit_test(test_replies),
        cmocka_unit_test(test_readiness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
