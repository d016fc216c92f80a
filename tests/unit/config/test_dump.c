#include "config/dump.h"
#include "config/schema.h"

#include "tests/unit/config/fixture.h"

/* The dump of a configuration, owned by the caller. */
static char *dump(const struct config *config)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    dump_config(config, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void defaults_are_expanded(void **state)
{
    (void)state;
    struct fixture fixture =
        fixture_good("[certificate g]\ncert = /c\nkey = /k\n[defaults]\ncertificate = g\nca = /ca\n"
                     "alpn = h2, http/1.1\n[service a]\nlisten = 127.0.0.1:1, [::1]:1\n"
                     "address = API.example.com.:443\nsni = off\n");
    char *text = dump(fixture.config);
    assert_string_equal(text, "[agent]\nworkers = auto\nlog_level = info\nlog_format = text\n"
                              "status = unix:/run/mtls-agent/status.sock\n"
                              "shutdown_timeout = 30s\n"
                              "\n[certificate g]\ncert = /c\nkey = /k\n"
                              "\n[service a]\nlisten = 127.0.0.1:1\nlisten = [::1]:1\nexpose = no\n"
                              "socket_mode = 0600\naddress = api.example.com:443\n"
                              "balance = failover\ntls_mode = mtls\ncertificate = g\nca = /ca\n"
                              "sni = off\nallow_common_name = no\nalpn = h2\nalpn = http/1.1\n"
                              "tls_min = 1.2\ntls_max = 1.3\nsession_reuse = yes\n"
                              "prewarm = 0\nprewarm_max_age = 30s\nconnect_timeout = 5s\n"
                              "handshake_timeout = 5s\nidle_timeout = 10m\nclose_timeout = 10s\n"
                              "truncation = reset\nmax_connections = 10000\nmax_lifetime = off\n"
                              "canary = yes\nretire = never\n");
    free(text);
    fixture_release(&fixture);
}

static void a_dump_reads_back_to_the_same(void **state)
{
    (void)state;
    struct fixture fixture = fixture_good(
        "[agent]\nworkers = 3\nlog_level = debug\nlog_format = json\nshutdown_timeout = 90s\n"
        "status = [0::1]:9464, unix:/run/s.sock\n"
        "[certificate g]\ncert = c.crt\nkey = k\npassword_file = pw\n"
        "[certificate h]\npkcs12 = h.pfx\npassword_file = h.txt\n"
        "[service a]\nlisten = 127.0.0.1:1, unix:/run/x\nexpose = yes\nsocket_mode = 660\n"
        "socket_user = 0\nsocket_group = 7\naddress = a_b.example:1, [2001:DB8::1]:1, 192.0.2.1:2\n"
        "ca = ca.crt\ncertificate = g\nsni = N.Example\n"
        "verify_name = uri:spiffe://E/x, 1.2.3.4, ::1, b.example\nallow_common_name = yes\n"
        "pin = sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        "pin = sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nalpn = h2\ntls_min = 1.3\n"
        "priority = NORMAL:-VERS-ALL\nidle_timeout = off\nmax_lifetime = 2h\n"
        "connect_timeout = 1500ms\ntruncation = eof\nmax_connections = 1\n"
        "crl = one.crl, https://crl.example.com:8443/%7Eca/a.crl?x=1\ncrl = HTTP://[2001:DB8::1]\n"
        "canary = require\nretire = 90m\nsession_reuse = off\nprewarm = auto\n"
        "[service b]\nlisten = [::1]:1\naddress = b.example:1\nca = system\ntls_mode = tls\n"
        "listen = systemd:b@1.socket\ncanary = no\nretire = drain\nprewarm = 1000\n"
        "prewarm_max_age = 1500ms\n");
    char *first = dump(fixture.config);
    assert_non_null(strstr(first, "\n[certificate h]\npkcs12 = /"));
    assert_non_null(strstr(first, "/h.pfx\npassword_file = /"));
    fixture_release(&fixture);
    fixture = fixture_good(first);
    char *second = dump(fixture.config);
    assert_string_equal(first, second);
    free(first);
    free(second);
    fixture_release(&fixture);
}

static void what_is_not_built_is_not_dumped(void **state)
{
    (void)state;
    struct fixture fixture = fixture_good(FIXTURE_SERVICE);
    char *text = dump(fixture.config);
    size_t n;
    const struct schema_key *keys = schema_keys(&n);
    for (size_t i = 0; i < n; i++) {
        char line[64];
        snprintf(line, sizeof(line), "\n%s = ", keys[i].name);
        if (keys[i].type == NULL) {
            assert_null(strstr(text, line));
        } else if (keys[i].standard != NULL) {
            assert_non_null(strstr(text, line));
        }
    }
    free(text);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(defaults_are_expanded),
        fixture_test(a_dump_reads_back_to_the_same),
        fixture_test(what_is_not_built_is_not_dumped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
