#include "cli/columns.h"
#include "cli/glance.h"

#include <jansson.h>

#include "tests/unit/cli/fixture.h"

/* Single quotes stand for double ones. */
static const char process[] =
    "'version': '0.1.0', 'pid': 1234, 'state': 'running', 'ready': true, 'uptime_seconds': "
    "262345.3,"
    "'workers': 2, 'configuration': {'file': '/etc/mtls-agent/mtls-agent.conf', 'generation': 3,"
    "'changed': null, 'last_reload': {'time': null, 'result': 'none', 'faults': []}},"
    "'log': {'dropped': 0}, 'process': {'resident_bytes': 12345678, 'cpu_seconds': 1.5,"
    "'open_descriptors': 123, 'max_descriptors': 65536}, ";

static const char certificates[] =
    "'certificates': [{'name': 'gateway', 'file': '/pki/client.crt', 'subject': 'CN=gateway',"
    "'issuer': 'CN=CA', 'not_before': '2026-09-01T00:00:00Z', 'not_after': '2027-02-10T00:00:00Z',"
    "'days_left': 81, 'problem': null}, {'name': 'mesh', 'file': '/pki/mesh.crt', 'subject': "
    "'CN=mesh', 'issuer': 'CN=CA', 'not_before': '2026-09-01T00:00:00Z',"
    "'not_after': '2026-11-25T00:00:00Z', 'days_left': 4, 'problem': 'the key does not match'}],"
    "'cas': [{'file': '/pki/ca.crt', 'certificates': [{'subject': 'CN=Orders CA',"
    "'not_after': '2026-12-03T00:00:00Z', 'days_left': 12}], 'crls': [{'source': '/pki/crl.pem',"
    "'issuer': 'CN=Orders CA', 'next_update': '2026-01-01T00:00:00Z'}], 'problem': null}], ";

static const char services[] =
    "'services': [{'name': 'orders', 'state': 'ok', 'listen': ['127.0.0.1:9001'],"
    "'address': ['api.example.com:443'], 'certificate': 'gateway', 'ca': '/pki/ca.crt',"
    "'endpoints': ['10.0.0.1:443'], 'dns': {'age_seconds': 12.0, 'failure': null},"
    "'connections': {'active': 3, 'opened': 120, 'limit': 10000, 'ended': {'ok': 117}},"
    "'bytes': {'sent': 1234, 'received': 5678901},"
    "'handshakes': {'full': 100, 'resumed': 20, 'failed': {}}, 'attempts_failed': {},"
    "'warm': {'ready': 2, 'used': 90, 'aged': 7, 'closed': 1, 'failed': 0, 'dropped': 3},"
    "'last_success': null, 'last_failure': null,"
    "'days_left': {'own': 81, 'ca': 3000, 'backend': 45},"
    "'backend_not_after': '2027-01-05T00:00:00Z', 'held': null},"
    "{'name': 'billing', 'state': 'failing', 'listen': ['127.0.0.1:9002', 'unix:/run/b.sock'],"
    "'address': ['pay.example.com:443', 'pay2.example.com:443'], 'certificate': 'mesh',"
    "'ca': '/pki/ca.crt', 'endpoints': [], 'dns': {'age_seconds': null, 'failure': 'no such name'},"
    "'connections': {'active': 0, 'opened': 14, 'limit': 10, 'ended': {'cert_expired': 14}},"
    "'bytes': {'sent': 0, 'received': 0},"
    "'handshakes': {'full': 0, 'resumed': 0, 'failed': {'cert_expired': 14}},"
    "'warm': {'ready': 0, 'used': 0, 'aged': 0, 'closed': 0, 'failed': 0, 'dropped': 0},"
    "'attempts_failed': {'cert_expired': 14, 'connect_refused': 2}, 'last_success': null,"
    "'last_failure': {'time': '2026-11-21T11:59:50Z', 'age_seconds': 12.9,"
    "'reason': 'cert_expired', 'side': 'we_refused', 'detail': 'CN=pay is valid until yesterday',"
    "'advice': 'it must be renewed'}, 'days_left': {'own': 4, 'ca': 12, 'backend': -1},"
    "'backend_not_after': '2026-11-20T00:00:00Z', 'held': 'the backend refuses the new one'}]";

/* The document, to be released with json_decref(). */
static json_t *make_root(void)
{
    char text[sizeof(process) + sizeof(certificates) + sizeof(services) + 3];
    snprintf(text, sizeof(text), "{%s%s%s}", process, certificates, services);
    for (char *at = strchr(text, '\''); at != NULL; at = strchr(at, '\'')) {
        *at = '"';
    }
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    return root;
}

static struct document *parse(const json_t *root)
{
    const char *why;
    char *text = json_dumps(root, JSON_ENCODE_ANY);
    assert_non_null(text);
    struct document *document = document_parse(text, strlen(text), &why);
    free(text);
    return document;
}

static char *glance(const struct document *document, size_t width)
{
    struct paper paper;
    paper_open(&paper, width);
    glance_print(document, &paper.sheet, false);
    return paper_close(&paper);
}

static void the_page_at_80_columns(void **state)
{
    (void)state;
    json_t *root = make_root();
    struct document *document = parse(root);
    char *text = glance(document, 80);
    assert_string_equal(
        text, "2 services: 1 failing, 1 ok\n"
              "\n"
              "SERVICE  STATE    ADDRESS                 ACTIVE/TOTAL   DAYS LEFT\n"
              "billing  failing  pay.example.com:443 +1          0/14  -1 backend\n"
              "    cert_expired (we_refused) 12s ago: CN=pay is valid until yesterday\n"
              "orders   ok       api.example.com:443            3/120  45 backend\n"
              "\n"
              "certificate  mesh: the old one stays in use: the key does not match\n"
              "certificate  mesh: 4 days left, until 2026-11-25; /pki/mesh.crt\n"
              "ca           CN=Orders CA: 12 days left, until 2026-12-03; /pki/ca.crt\n"
              "crl          /pki/crl.pem: stale since 2026-01-01T00:00:00Z\n"
              "backend      of billing: expired on 2026-11-20\n"
              "held back    billing keeps what it had: the backend refuses the new one\n"
              "\n"
              "process      0.1.0, pid 1234, up 3d, 2 workers\n"
              "resources    12.3 MB, 1.5 s of CPU, 123/65536 descriptors, 0 log lines dropped\n"
              "config       /etc/mtls-agent/mtls-agent.conf, generation 3\n");
    free(text);
    document_free(document);
    json_decref(root);
}

static void a_wide_page_has_a_column_for_failures(void **state)
{
    (void)state;
    json_t *root = make_root();
    struct document *document = parse(root);
    char *text = glance(document, SHEET_UNLIMITED);
    assert_non_null(strstr(text, "-1 backend  cert_expired we_refused 12s\n"
                                 "    CN=pay is valid until yesterday\n"));
    free(text);
    document_free(document);
    json_decref(root);
}

static void all_about_a_service(void **state)
{
    (void)state;
    json_t *root = make_root();
    struct document *document = parse(root);
    const bool chosen[] = {false, true};
    struct paper paper;
    paper_open(&paper, 80);
    glance_print_chosen(document, chosen, &paper.sheet);
    paper_expect(&paper,
                 "billing: failing\n"
                 "    listen       127.0.0.1:9002\n"
                 "                 unix:/run/b.sock\n"
                 "    address      pay.example.com:443\n"
                 "                 pay2.example.com:443\n"
                 "    dns          no such name\n"
                 "    connections  0 active, 14 in total, at most 10 at once\n"
                 "    ended        14 cert_expired\n"
                 "    traffic      0 bytes sent, 0 bytes received\n"
                 "    handshakes   0 full, 0 resumed\n"
                 "                 failed: 14 cert_expired\n"
                 "    attempts     failed: 14 cert_expired, 2 connect_refused\n"
                 "    last failure cert_expired (we_refused) 12s ago, at 2026-11-21T11:59:50Z\n"
                 "    why          CN=pay is valid until yesterday\n"
                 "    to do        it must be renewed\n"
                 "    certificate  mesh: 4 days left\n"
                 "    ca           /pki/ca.crt: 12 days left\n"
                 "    backend      expired on 2026-11-20\n"
                 "    held back    it keeps what it had: the backend refuses the new one\n");
    document_free(document);
    json_decref(root);
}

static void resumed_and_warm_sessions(void **state)
{
    (void)state;
    json_t *root = make_root();
    struct document *document = parse(root);
    const bool chosen[] = {true, false};
    struct paper paper;
    paper_open(&paper, 80);
    glance_print_chosen(document, chosen, &paper.sheet);
    char *text = paper_close(&paper);
    assert_non_null(strstr(text, "    handshakes   100 full, 20 resumed (17%)\n"
                                 "    warm         2 ready, 90 used, 7 aged, 1 closed, 0 failed, "
                                 "3 dropped\n"));
    free(text);
    document_free(document);
    json_decref(root);
}

static void the_document_is_printed_and_filtered(void **state)
{
    (void)state;
    json_t *root = make_root();
    struct document *document = parse(root);
    const bool chosen[] = {true, true}, second[] = {false, true};
    struct paper paper;
    paper_open(&paper, 80);
    assert_int_equal(document_print(document, chosen, paper.sheet.out), 0);
    char *text = paper_close(&paper);
    json_t *again = json_loads(text, 0, NULL);
    assert_true(json_equal(root, again));
    json_decref(again);
    free(text);
    paper_open(&paper, 80);
    assert_int_equal(document_print(document, second, paper.sheet.out), 0);
    text = paper_close(&paper);
    assert_null(strstr(text, "\"orders\""));
    assert_non_null(strstr(text, "\"billing\""));
    free(text);
    document_free(document);
    json_decref(root);
}

static void a_refused_reload_is_told(void **state)
{
    (void)state;
    json_t *root = make_root();
    json_t *reload = json_pack("{s:s, s:s, s:[s]}", "time", "2026-11-21T11:00:00Z", "result",
                               "refused", "faults", "/etc/a.conf:12: unknown key 'lisen'");
    json_object_set_new(json_object_get(root, "configuration"), "last_reload", reload);
    struct document *document = parse(root);
    char *text = glance(document, 80);
    assert_non_null(strstr(text, "\nreload       refused "));
    assert_non_null(strstr(text, "the old configuration stays in force\n"
                                 "             /etc/a.conf:12: unknown key 'lisen'\n"));
    free(text);
    document_free(document);
    json_decref(root);
}

/* ---- documents that are not what they should be ---- */

#define N_WRONG 8

/* By turns, as every page takes its time; N_WRONG is no multiple of three, so that each wrong value
 * meets each width. */
static size_t next_width(void)
{
    static const size_t widths[] = {20, 80, 199};
    static size_t turn;
    return widths[turn++ % COUNT(widths)];
}

static void print_everything(const json_t *root)
{
    static const bool chosen[] = {true, true};
    struct document *document = parse(root);
    if (document == NULL) {
        return;
    }
    struct paper paper;
    paper_open(&paper, next_width());
    paper.sheet.height = 10;
    glance_print(document, &paper.sheet, false);
    glance_print(document, &paper.sheet, true);
    assert_true(document->n_services <= COUNT(chosen));
    glance_print_chosen(document, chosen, &paper.sheet);
    free(paper_close(&paper));
    document_free(document);
}

static json_t *wrong_value(int i)
{
    switch (i) {
    case 0:
        return json_null();
    case 1:
        return json_string("\033[31m\xe4\xb8\xad");
    case 2:
        return json_integer(INT64_MIN + 1);
    case 3:
        return json_integer(INT64_MAX);
    case 4:
        return json_real(-1e300);
    case 5:
        return json_real(1e300);
    case 6:
        return json_object();
    default:
        return json_array();
    }
}

/* Spoils each value below `part` in turn, and prints what `root` is then. */
static void spoil(const json_t *root, json_t *part)
{
    const char *key;
    json_t *value;
    void *next;
    size_t index;
    json_object_foreach_safe(part, next, key, value)
    {
        json_incref(value);
        for (int i = 0; i < N_WRONG; i++) {
            json_object_set_new(part, key, wrong_value(i));
            print_everything(root);
        }
        json_object_set_new(part, key, value);
        spoil(root, value);
    }
    json_array_foreach(part, index, value)
    {
        json_incref(value);
        for (int i = 0; i < N_WRONG; i++) {
            json_array_set_new(part, index, wrong_value(i));
            print_everything(root);
        }
        json_array_set_new(part, index, value);
        spoil(root, value);
    }
}

static void values_of_a_wrong_type_do_no_harm(void **state)
{
    (void)state;
    json_t *root = make_root();
    spoil(root, root);
    json_decref(root);
}

static void what_is_no_document_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "x", "[]", "3", "{}", "{\"services\": ", "{\"state\": 1}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *why = NULL;
        assert_null(document_parse(bad[i], strlen(bad[i]), &why));
        assert_non_null(why);
        why = NULL;
        assert_null(document_parse_reload(bad[i], strlen(bad[i]), &why));
        assert_non_null(why);
    }
    document_free(NULL);
    document_free_reload(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_at_80_columns),
        cmocka_unit_test(a_wide_page_has_a_column_for_failures),
        cmocka_unit_test(all_about_a_service),
        cmocka_unit_test(resumed_and_warm_sessions),
        cmocka_unit_test(the_document_is_printed_and_filtered),
        cmocka_unit_test(a_refused_reload_is_told),
        cmocka_unit_test(values_of_a_wrong_type_do_no_harm),
        cmocka_unit_test(what_is_no_document_is_refused),
    };
    columns_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
