#include "status/page.h"

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
    page_write(&fixture.view, &writer);
    char *text = writer_take(&writer, &len);
    assert_non_null(text);
    return text;
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no '%s' in:\n%s", part, text);
    }
}

static void test_what_it_tells(void **state)
{
    static const char *const parts[] = {
        ": not ready</title>",
        "2 of 5 services without an address",
        "up for 1 day",
        "The last reload was refused</b> 1 minute ago",
        "there is no key &#39;adress&#39;",
        "1 unused, 1 ok, 1 failing, 1 resolving, 1 no address",
        "<span class=\"state bad\">failing</span>",
        "<span class=\"state good\">ok</span>",
        "client_cert_untrusted</b>",
        "they_refused, 1 minute ago",
        "it accepts certificates issued by CN=Partners CA",
        "<b>3</b> active, 120 in all",
        "3.2 MB sent, 988 MB received",
        "17% of handshakes resumed",
        "4 warm sessions ready, 90 used",
        "192.0.2.10:443 and 1 more",
        "ledger.example.com: no such name",
        "the key does not belong to the certificate",
        "none yet: its backends are refused",
        "<span class=\"bad\">2 days</span>",
    };
    (void)state;
    char *text = render();
    for (size_t i = 0; i < COUNT(parts); i++) {
        expect(text, parts[i]);
    }
    free(text);
}

static void test_what_has_expired_says_so(void **state)
{
    (void)state;
    fixture.mesh_chain[0].not_after = NOW - 1;
    char *text = render();
    expect(text, "<span class=\"bad\">expired</span>");
    free(text);
}

static void test_text_from_elsewhere_is_no_html(void **state)
{
    (void)state;
    fixture.chain[0].subject = constant("CN=<script>alert('x')</script>&\"\xff");
    fixture.services[LEDGER].dns_failure = "<img src=x onerror=alert(1)>";
    fixture.faults[0] = "</li><script>";
    char *text = render();
    expect(text, "CN=&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\xef\xbf\xbd");
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<img"));
    free(text);
}

static void test_nothing_is_loaded_from_elsewhere(void **state)
{
    static const char *const parts[] = {"<script", "<link", "<img",    "src=",
                                        "href=",   "url(",  "@import", "javascript:"};
    (void)state;
    char *text = render();
    for (size_t i = 0; i < COUNT(parts); i++) {
        assert_null(strstr(text, parts[i]));
    }
    free(text);
}

static void test_an_agent_that_is_ready(void **state)
{
    (void)state;
    fixture.view.reload = VIEW_RELOAD_OK;
    fixture.view.n_services = 1;
    char *text = render();
    expect(text, ": ready</title>");
    expect(text, "The last reload was applied 1 minute ago.");
    assert_null(strstr(text, "role=\"alert\""));
    free(text);
    fixture.view.is_draining = true;
    text = render();
    expect(text, ": draining</title>");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_it_tells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_expired_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_from_elsewhere_is_no_html, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_loaded_from_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_agent_that_is_ready, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
