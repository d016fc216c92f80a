#include "config/same.h"

#include "tests/unit/config/fixture.h"

/* What is the same before and after. */
#define COMMON                                                                                     \
    "[certificate g]\ncert = /c\nkey = /k\n[certificate h]\ncert = /c\nkey = /k\n"                 \
    "[defaults]\nca = /ca\ncertificate = g\n"

/* A service before a reload and after it. */
struct pair {
    struct fixture before, after;
    const struct config_service *a, *b;
};

/* Loads the service with these keys, and again with those, on other lines of the file. */
static struct pair load(const char *before, const char *after)
{
    char text[1024];
    struct pair pair;
    snprintf(text, sizeof(text), COMMON "[service a]\n%s", before);
    pair.before = fixture_good(text);
    snprintf(text, sizeof(text), "\n\n" COMMON "[service a]\n%s", after);
    pair.after = fixture_good(text);
    pair.a = &pair.before.config->services[0];
    pair.b = &pair.after.config->services[0];
    return pair;
}

static void release(struct pair *pair)
{
    fixture_release(&pair->before);
    fixture_release(&pair->after);
}

#define BASE FIXTURE_LISTEN FIXTURE_ADDRESS

static void spelling_and_place_do_not_count(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {BASE, BASE},
        {BASE, "address = API.Example.com.:443\ncanary = yes\n" FIXTURE_LISTEN},
        {BASE "idle_timeout = 60s\n", BASE "idle_timeout = 1m\n"},
        {BASE "prewarm = 0\nprewarm_max_age = 60s\n",
         BASE "prewarm_max_age = 1m\nsession_reuse = on\n"},
        {BASE "alpn = a,b\n", BASE "alpn = a\nalpn = b\n"},
        {BASE "ca = //ca\n", BASE "ca = //ca\n"},
        {BASE "tls_mode = tls\n", BASE "tls_mode = tls\ncertificate = h\n"},
        {"listen = unix:/x, systemd:y\n" FIXTURE_ADDRESS "crl = http://h/x, /y\nsocket_user = 7\n",
         "crl = http://h/x\ncrl = /y\nlisten = unix:/x\nlisten = systemd:y\n" FIXTURE_ADDRESS
         "socket_user = 7\n"},
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        struct pair pair = load(same[i][0], same[i][1]);
        assert_true(same_service(pair.a, pair.b));
        assert_true(same_addresses(pair.a, pair.b));
        release(&pair);
    }
}

static void every_key_counts(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "expose = yes",
        "certificate = h",
        "tls_mode = tls",
        "ca = /other",
        "ca = system",
        "sni = x.example",
        "sni = off",
        "verify_name = x.example",
        "allow_common_name = yes",
        "pin = sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "crl = /x",
        "crl = http://h/x",
        "alpn = h2",
        "tls_min = 1.3",
        "tls_max = 1.2",
        "priority = NORMAL",
        "connect_timeout = 1s",
        "handshake_timeout = 1s",
        "idle_timeout = off",
        "close_timeout = 1s",
        "max_lifetime = 1h",
        "max_connections = 1",
        "truncation = eof",
        "canary = no",
        "canary = require",
        "retire = drain",
        "retire = 1h",
        "session_reuse = no",
        "prewarm = 1",
        "prewarm = auto",
        "prewarm_max_age = 31s",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char after[256];
        snprintf(after, sizeof(after), BASE "%s\n", lines[i]);
        struct pair pair = load(BASE, after);
        assert_false(same_service(pair.a, pair.b));
        assert_false(same_service(pair.b, pair.a));
        assert_true(same_addresses(pair.a, pair.b));
        release(&pair);
    }
}

static void listens_and_addresses_are_told_apart(void **state)
{
    (void)state;
    static const char *const listens[] = {
        "listen = unix:/x, 127.0.0.1:1\n",
        "listen = 127.0.0.1:1, unix:/y\n",
        "listen = 127.0.0.1:1\n",
        "listen = systemd:x, unix:/x\n",
        "listen = 127.0.0.1:1, unix:/x\nsocket_mode = 0660\n",
        "listen = 127.0.0.1:1, unix:/x\nsocket_user = 1\n",
    };
    for (size_t i = 0; i < sizeof(listens) / sizeof(listens[0]); i++) {
        char after[256];
        snprintf(after, sizeof(after), FIXTURE_ADDRESS "%s", listens[i]);
        struct pair pair = load("listen = 127.0.0.1:1, unix:/x\n" FIXTURE_ADDRESS, after);
        assert_false(same_service(pair.a, pair.b));
        assert_true(same_addresses(pair.a, pair.b));
        release(&pair);
    }
    struct pair pair = load(FIXTURE_LISTEN "address = a.example:1, b.example:1\n",
                            FIXTURE_LISTEN "address = b.example:1, a.example:1\n");
    assert_false(same_addresses(pair.a, pair.b));
    assert_false(same_service(pair.a, pair.b));
    release(&pair);
}

static void a_certificate_is_its_files(void **state)
{
    (void)state;
    struct fixture fixture =
        fixture_good("[certificate a]\ncert = /c\nkey = /k\n[certificate b]\nkey = /k\ncert = /c\n"
                     "[certificate c]\ncert = /c\nkey = /l\n"
                     "[certificate d]\ncert = /c\nkey = /k\npassword_file = /p\n"
                     "[certificate e]\npkcs12 = /c\n" FIXTURE_SERVICE);
    const struct config_certificate *certificates = fixture.config->certificates;
    assert_true(same_certificate(&certificates[0], &certificates[1]));
    for (size_t i = 2; i < fixture.config->n_certificates; i++) {
        assert_false(same_certificate(&certificates[0], &certificates[i]));
    }
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(spelling_and_place_do_not_count),
        fixture_test(every_key_counts),
        fixture_test(listens_and_addresses_are_told_apart),
        fixture_test(a_certificate_is_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
