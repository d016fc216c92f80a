#include "tests/unit/config/fixture.h"

/* Every line that is wrong on its own, in a service that is right otherwise, and what is said. */
static void a_bad_value_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"expose = maybe", "expose = \"maybe\": this is neither yes nor no; write one of them"},
        {"expose =", "expose has no value; write one or remove the line"},
        {"certificate = none", "certificate = \"none\": there is no such [certificate]; add a "
                               "[certificate NAME] section"},
        {"sni = 192.0.2.1", "sni = \"192.0.2.1\": SNI carries no IP address; write a name or off"},
        {"sni = OFF",
         "sni = \"OFF\": this is no host name; write off, in lower case, to send none"},
        {"listen = [::ffff:127.0.0.1]:1", "listen = \"[::ffff:127.0.0.1]:1\": this is an IPv4 "
                                          "address in IPv6's clothes; write it as IPv4"},
        {"sni = a b", "sni = \"a b\": a host name has letters, digits, hyphens and dots only; "
                      "remove the rest"},
        {"verify_name = ip:host", "verify_name = \"ip:host\": this is no IP address; write one as "
                                  "in 192.0.2.1 or 2001:db8::1"},
        {"verify_name = a.example,,b.example",
         "verify_name has an empty value; write one or remove the comma or the line"},
        {"allow_common_name = 1",
         "allow_common_name = \"1\": this is neither yes nor no; write one of them"},
        {"pin = 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
         "pin = \"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\": this is no pin; write sha256: "
         "and 44 letters of base64, the SHA-256 of the public key"},
        {"pin = sha256:AAAA", "pin = \"sha256:AAAA\": this is no pin; write sha256: and 44 letters "
                              "of base64, the SHA-256 of the public key"},
        {"alpn = aaaaaaaaaabbbbbbbbbbcccccccccc12",
         "alpn = \"aaaaaaaaaabbbbbbbbbbcccccccccc12\": a protocol's name has 1 to 31 bytes; "
         "shorten it"},
        {"alpn = 1,2,3,4,5,6,7,8,9", "alpn = \"9\": the list takes 8 values at most; remove some"},
        {"alpn = a,;b", "the value of alpn begins with ; as a comment does; write another"},
        {"tls_min = 1.1", "tls_min = \"1.1\": this is not a known word; write 1.2 or 1.3"},
        {"tls_max = TLS1.3", "tls_max = \"TLS1.3\": this is not a known word; write 1.2 or 1.3"},
        {"balance = random", "balance = \"random\": this is not a known word; write failover"},
        {"connect_timeout = 5",
         "connect_timeout = \"5\": this is not a duration; write 1ms to 100d "
         "with its unit, as in 500ms or 30s"},
        {"connect_timeout = 0s", "connect_timeout = \"0s\": this is not a duration in range; write "
                                 "1ms to 100d with its unit, as in 500ms or 30s"},
        {"connect_timeout = off", "connect_timeout = \"off\": this is not a duration; write 1ms to "
                                  "100d with its unit, as in 500ms or 30s"},
        {"handshake_timeout = off",
         "handshake_timeout = \"off\": this is not a duration; write 1ms "
         "to 100d with its unit, as in 500ms or 30s"},
        {"close_timeout = -1s",
         "close_timeout = \"-1s\": this is not a duration; write 1ms to 100d "
         "with its unit, as in 500ms or 30s"},
        {"idle_timeout = 101d", "idle_timeout = \"101d\": this is not a duration in range; write "
                                "1ms to 100d with its unit, as in 500ms or 30s, or off"},
        {"idle_timeout = 5s # five", "idle_timeout = \"5s # five\": this is not a duration; write "
                                     "1ms to 100d with its unit, as in 500ms or 30s, or off (a "
                                     "comment after a value begins with ;)"},
        {"max_lifetime = 18446744073709551616s",
         "max_lifetime = \"18446744073709551616s\": this is not a duration; write 1ms to 100d with "
         "its unit, as in 500ms or 30s, or off"},
        {"max_connections = 0", "max_connections = \"0\": this is not a number in range; write one "
                                "from 1 to 1000000"},
        {"max_connections = 10k", "max_connections = \"10k\": this is not a number in range; write "
                                  "one from 1 to 1000000"},
        {"max_connections = 18446744073709551617",
         "max_connections = \"18446744073709551617\": this is not a number in range; write one "
         "from 1 to 1000000"},
        {"session_reuse = auto",
         "session_reuse = \"auto\": this is neither yes nor no; write one of them"},
        {"prewarm = many", "prewarm = \"many\": this is not a number in range; write one from 0 to "
                           "1000, or auto"},
        {"prewarm = -1", "prewarm = \"-1\": this is not a number in range; write one from 0 to "
                         "1000, or auto"},
        {"prewarm = 1001", "prewarm = \"1001\": this is not a number in range; write one from 0 to "
                           "1000, or auto"},
        {"prewarm = 4294967295", "prewarm = \"4294967295\": this is not a number in range; write "
                                 "one from 0 to 1000, or auto"},
        {"prewarm =", "prewarm has no value; write one or remove the line"},
        {"prewarm_max_age = 0", "prewarm_max_age = \"0\": this is not a duration; write 1s to 1h "
                                "with its unit, as in 30s"},
        {"prewarm_max_age = 999ms", "prewarm_max_age = \"999ms\": this is not a duration in range; "
                                    "write 1s to 1h with its unit, as in 30s"},
        {"prewarm_max_age = 61m", "prewarm_max_age = \"61m\": this is not a duration in range; "
                                  "write 1s to 1h with its unit, as in 30s"},
        {"prewarm_max_age = off", "prewarm_max_age = \"off\": this is not a duration; write 1s to "
                                  "1h with its unit, as in 30s"},
        {"retire = 0s", "retire = \"0s\": this is not a duration in range; write 1ms to 100d with "
                        "its unit, as in 500ms or 30s, or never or drain"},
        {"canary = maybe",
         "canary = \"maybe\": this is not a known word; write yes, no or require"},
        {"truncation = ignore",
         "truncation = \"ignore\": this is not a known word; write reset or eof"},
        {"priority =", "priority has no value; write one or remove the line"},
        {"colour = red", "unknown key \"colour\" in [service]; see mtls-agent.conf(5)"},
        {"idle-timeout = 5s",
         "unknown key \"idle-timeout\" in [service]; did you mean idle_timeout?"},
        {"Sni = x", "unknown key \"Sni\" in [service]; did you mean sni?"},
        {"workers = 2", "\"workers\" is no key of [service]; move it to [agent]"},
        {"cert = x", "\"cert\" is no key of [service]; move it to [certificate]"},
        {"= x", "unknown key \"\" in [service]; see mtls-agent.conf(5)"},
        {"nothing", "the line is neither [section] nor key = value; a comment begins with ;"},
        {"tls_mode = tls", "tls_mode is set twice; remove one, first set at conf:5"},
        {"socket_mode = 0660",
         "warning: socket_mode has no effect without a listen = unix:/PATH; remove it"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text), FIXTURE_SERVICE "%s\n", cases[i].line);
        snprintf(expected, sizeof(expected), "conf:6: %s\n", cases[i].said);
        fixture_says(text, expected);
    }
}

static void a_bad_socket_setting_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"socket_mode = 0888", "socket_mode = \"0888\": these are no permissions; write them in "
                               "octal, 0000 to 0777, as in 0660"},
        {"socket_mode = 1777", "socket_mode = \"1777\": these are no permissions; write them in "
                               "octal, 0000 to 0777, as in 0660"},
        {"socket_user = no-such-user",
         "socket_user = \"no-such-user\": there is no such user; create it or write another"},
        {"socket_group = no-such-group",
         "socket_group = \"no-such-group\": there is no such group; create it or write another"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text),
                 "[service a]\nlisten = unix:/x\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS "%s\n",
                 cases[i].line);
        snprintf(expected, sizeof(expected), "conf:6: %s\n", cases[i].said);
        fixture_says(text, expected);
    }
}

static void a_bad_listen_is_refused(void **state)
{
    (void)state;
#define SYSTEMD_NAME                                                                               \
    "the name of a socket has 1 to 255 letters, digits and . _ - @; write what "                   \
    "FileDescriptorName= in the .socket unit says"
    static const struct {
        const char *value, *said;
    } cases[] = {
        {"localhost:9001", "an IP address is wanted, not a name; write 127.0.0.1:9001"},
        {"*:9001", "an IP address is wanted, not a name; write 127.0.0.1:9001"},
        {"9001", "the address is missing; write 127.0.0.1:9001"},
        {":9001", "the host is missing; write HOST:PORT"},
        {"127.0.0.1", "the port is missing; write HOST:PORT"},
        {"127.0.0.1:0", "the port is not a number from 1 to 65535; write HOST:PORT"},
        {"127.0.0.1:65536", "the port is not a number from 1 to 65535; write HOST:PORT"},
        {"127.0.0.1:90x", "the port is not a number from 1 to 65535; write HOST:PORT"},
        {"::1:9001", "an IPv6 address needs brackets; write it as in [2001:db8::1]:443"},
        {"unix:run/x.sock", "the path is not absolute; write unix:/run/mtls-agent/NAME.sock"},
        {"unix:", "the path is not absolute; write unix:/run/mtls-agent/NAME.sock"},
        {"unix:@abstract", "the path is not absolute; write unix:/run/mtls-agent/NAME.sock"},
        {"systemd:", SYSTEMD_NAME},
        {"systemd:a b", SYSTEMD_NAME},
        {"systemd:a:b", SYSTEMD_NAME},
        {"systemd:../x", SYSTEMD_NAME},
        {"systemd:b\xc3\xbc", SYSTEMD_NAME},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text),
                 "[service a]\nlisten = %s\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
                 cases[i].value);
        snprintf(expected, sizeof(expected), "conf:2: listen = \"%s\": %s\n", cases[i].value,
                 cases[i].said);
        fixture_says(text, expected);
    }
}

static void a_bad_address_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *value, *said;
    } cases[] = {
        {"api.example.com", "the port is missing; write HOST:PORT"},
        {"api.example.com:0", "the port is not a number from 1 to 65535; write HOST:PORT"},
        {"https://api.example.com",
         "this is a URL; write only HOST:PORT, as in api.example.com:443"},
        {"https://api.example.com:443",
         "this is a URL; write only HOST:PORT, as in api.example.com:443"},
        {"api.example.com:443/path", "the port is not a number from 1 to 65535; write HOST:PORT"},
        {"user@api.example.com:443",
         "a host name has no user part; write what follows the @ alone"},
        {"api example.com:443",
         "a host name has letters, digits, hyphens and dots only; remove the rest"},
        {"b\xc3\xbc"
         "cher.example:443",
         "a host name is ASCII; write an international name in its xn-- form"},
        {"192.0.2.256:443", "the last part is a number, yet this is no IPv4 address; check it"},
        {"2001:db8::1:443", "an IPv6 address needs brackets; write it as in [2001:db8::1]:443"},
        {"0.0.0.0:443", "no backend has the address 0.0.0.0; write the backend's own"},
        {"unix:/run/x", "a backend is reached by TCP; write HOST:PORT"},
        {"srv:_orders._tcp.example.com", "srv: is not available in this version; remove it"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text),
                 "[service a]\n" FIXTURE_LISTEN "address = %s\n" FIXTURE_CA FIXTURE_TLS,
                 cases[i].value);
        snprintf(expected, sizeof(expected), "conf:3: address = \"%s\": %s\n", cases[i].value,
                 cases[i].said);
        fixture_says(text, expected);
    }
}

static void what_is_not_built_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *section, *line;
    } cases[] = {
        {"defaults", "allow_users = root"},  {"service b", "allow_groups = root"},
        {"service b", "health_check = off"}, {"service b", "health_interval = 5s"},
        {"service b", "health_rise = 2"},    {"service b", "health_fall = 2"},
        {"service b", "proxy_protocol ="},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text), "[%s]\n%s\n", cases[i].section, cases[i].line);
        snprintf(expected, sizeof(expected),
                 "conf:2: %.*s is not available in this version; remove the line\n",
                 (int)strcspn(cases[i].line, " "), cases[i].line);
        fixture_write("conf", text);
        struct fixture fixture = fixture_load("conf");
        assert_non_null(strstr(fixture.said, expected));
        fixture_release(&fixture);
    }
    fixture_says(FIXTURE_SERVICE "balance = round-robin\n",
                 "conf:6: balance = \"round-robin\": round-robin is not available in this version; "
                 "remove it\n");
    fixture_says(
        "[certificate g]\ncert = pkcs11:x\nkey = tpmkey:y\n" FIXTURE_SERVICE,
        "conf:2: cert = \"pkcs11:x\": pkcs11: is not available in this version; remove it\n"
        "conf:3: key = \"tpmkey:y\": tpmkey: is not available in this version; remove it\n");
}

static void a_bad_section_is_refused(void **state)
{
    (void)state;
#define NAME_64 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234"
    static const struct {
        const char *header, *said;
    } cases[] = {
        {"[servce x]", "unknown section \"servce\"; did you mean service?"},
        {"[]", "unknown section \"\"; there are [agent], [certificate NAME], [defaults] and "
               "[service NAME]"},
        {"[agent x]", "[agent] takes no name; remove \"x\""},
        {"[service]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
         "the service has no name; write [service NAME]"},
        {"[service Orders]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
         "the name \"Orders\" of the service is bad; use lowercase letters, digits and hyphens"},
        {"[service a_b]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
         "the name \"a_b\" of the service is bad; use lowercase letters, digits and hyphens"},
        {"[service a b]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
         "the name \"a b\" of the service is bad; use lowercase letters, digits and hyphens"},
        {"[service " NAME_64 "5]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
         "the name \"" NAME_64 "5\" of the service has 65 characters; use 64 at most"},
        {"[certificate Up]\ncert = /c\nkey = /k\n",
         "the name \"Up\" of the certificate is bad; use lowercase letters, digits and hyphens"},
        {"[service a", "the section's closing bracket is missing; write ] after its name"},
        {"[defaults] x", "there is text after the section's ]; move it to a line of its own"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text),
                 "%s\n[service z]\nlisten = [::1]:1\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
                 cases[i].header);
        snprintf(expected, sizeof(expected), "conf:1: %s\n", cases[i].said);
        fixture_says(text, expected);
    }
    struct fixture fixture = fixture_good(
        "[service " NAME_64 "]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS);
    assert_string_equal(fixture.config->services[0].name, NAME_64);
    fixture_release(&fixture);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    fixture_says("[service a]\n",
                 "conf:1: the service \"a\" has no listen; add one, as in listen = 127.0.0.1:9001\n"
                 "conf:1: the service \"a\" has no address; add one, as in address = "
                 "api.example.com:443\n"
                 "conf:1: the service \"a\" has no ca; add one, as in ca = "
                 "/etc/mtls-agent/pki/ca.crt\n"
                 "conf:1: the service \"a\" has no certificate; add certificate = NAME (add a "
                 "[certificate NAME] section), or tls_mode = tls\n");
    fixture_says(
        "[certificate one]\ncert = /c\nkey = /k\n[certificate two]\ncert = /c\n"
        "[service a]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA,
        "conf:4: the certificate \"two\" has no key; add one, as in key = "
        "/etc/mtls-agent/pki/client.key\n"
        "conf:6: the service \"a\" has no certificate; add certificate = NAME (known: one, "
        "two), or tls_mode = tls\n");
    static const char nothing[] =
        "conf: there is no [service NAME] section; add one, or an include that has one\n";
    fixture_says("", nothing);
    fixture_says("; only a comment", nothing);
    fixture_says("[agent]\nworkers = 1\n[defaults]\n", nothing);
}

static void an_identity_has_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *said;
    } cases[] = {
        {"cert = /c\nkey = /k\n", ""},
        {"pkcs12 = /p\n", ""},
        {"password_file = /w\npkcs12 = /p\n", ""},
        {"", "conf:1: the certificate \"g\" has neither cert and key nor pkcs12; add cert = "
             "/etc/mtls-agent/pki/client.crt and key = /etc/mtls-agent/pki/client.key, or pkcs12 = "
             "/etc/mtls-agent/pki/client.pfx\n"},
        {"password_file = /w\n",
         "conf:1: the certificate \"g\" has neither cert and key nor pkcs12; add cert = "
         "/etc/mtls-agent/pki/client.crt and key = /etc/mtls-agent/pki/client.key, or pkcs12 = "
         "/etc/mtls-agent/pki/client.pfx\n"},
        {"cert = /c\n", "conf:1: the certificate \"g\" has no key; add one, as in key = "
                        "/etc/mtls-agent/pki/client.key\n"},
        {"key = /k\n", "conf:1: the certificate \"g\" has no cert; add one, as in cert = "
                       "/etc/mtls-agent/pki/client.crt\n"},
        {"cert = /c\nkey = /k\npkcs12 = /p\n",
         "conf:4: the certificate \"g\" has pkcs12 and also cert; give pkcs12 alone, or cert and "
         "key\n"},
        {"pkcs12 = /p\nkey = /k\n",
         "conf:2: the certificate \"g\" has pkcs12 and also key; give pkcs12 alone, or cert and "
         "key\n"},
        {"pkcs12 = pkcs11:x\n",
         "conf:2: pkcs12 = \"pkcs11:x\": pkcs11: is not available in this version; remove it\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "[certificate g]\n%s" FIXTURE_SERVICE, cases[i].keys);
        fixture_says(text, cases[i].said);
    }
}

static void what_is_said_twice_is_refused(void **state)
{
    (void)state;
    fixture_says("[agent]\nworkers = 1\nworkers = 1\n[agent]\n" FIXTURE_SERVICE,
                 "conf:3: workers is set twice; remove one, first set at conf:2\n"
                 "conf:4: there is a second [agent]; join it with the one at conf:1\n");
    fixture_says("[defaults]\n[defaults]\n" FIXTURE_SERVICE,
                 "conf:2: there is a second [defaults]; join it with the one at conf:1\n");
    fixture_says(FIXTURE_SERVICE
                 "[service a]\nlisten = 127.0.0.1:9002\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
                 "conf:6: there is a second service \"a\"; rename it, for it was first set at "
                 "conf:1\n");
    fixture_says("[certificate g]\ncert = /c\nkey = /k\n[certificate g]\ncert = /c\nkey = "
                 "/k\n" FIXTURE_SERVICE,
                 "conf:4: there is a second certificate \"g\"; rename it, for it was first set at "
                 "conf:1\n");
}

/* Two services, with these listens, the second one exposed. */
static void assert_conflict(const char *first, const char *second, const char *expected)
{
    char text[512];
    snprintf(text, sizeof(text),
             "[service a]\nexpose = yes\nlisten = %s\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS
             "[service b]\nexpose = yes\nlisten = %s\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
             first, second);
    fixture_says(text, expected);
}

static void a_port_is_taken_once(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"127.0.0.1:1", "127.0.0.1:1"}, {"[::1]:1", "[0:0::1]:1"}, {"0.0.0.0:1", "127.0.0.1:1"},
        {"10.0.0.1:1", "0.0.0.0:1"},    {"[::]:1", "[::1]:1"},     {"unix:/x", "unix:/x"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char expected[256];
        struct addr addr;
        char written[ADDR_TEXT_MAX];
        snprintf(written, sizeof(written), "%s", pairs[i][1]);
        if (strcmp(pairs[i][1], "[0:0::1]:1") == 0) {
            assert_int_equal(addr_parse_ip("::1", 1, &addr), 0);
            addr_format(&addr, written);
        }
        snprintf(
            expected, sizeof(expected),
            "conf:9: listen = %s of the service \"b\" is taken; choose another, for it is used "
            "by the service \"a\" at conf:3\n",
            written);
        assert_conflict(pairs[i][0], pairs[i][1], expected);
    }
    assert_conflict("127.0.0.1:1", "127.0.0.2:1", "");
    assert_conflict("127.0.0.1:1", "127.0.0.1:2", "");
    assert_conflict("0.0.0.0:1", "[::]:1", "");
    assert_conflict("unix:/x", "unix:/y", "");
    fixture_says(
        "[service a]\nlisten = 127.0.0.1:1, 127.0.0.1:1\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
        "conf:2: listen = 127.0.0.1:1 of the service \"a\" is taken; choose another, for it "
        "is used by the service \"a\" at conf:2\n");
}

static void a_socket_of_systemd_is_taken_once(void **state)
{
    (void)state;
    assert_conflict("systemd:web", "systemd:web",
                    "conf:9: listen = systemd:web of the service \"b\" is taken; choose another, "
                    "for it is used by the service \"a\" at conf:3\n");
    assert_conflict("systemd:web", "systemd:Web", "");
    assert_conflict("systemd:web, systemd:web.socket", "unix:/web, 0.0.0.0:1", "");
    fixture_says(
        "[service a]\nlisten = systemd:web\nsocket_mode = 0660\naddress = 127.0.0.1:1\n" FIXTURE_CA
            FIXTURE_TLS,
        "conf:3: warning: socket_mode has no effect without a listen = unix:/PATH; remove "
        "it\n");
    struct fixture fixture = fixture_good("[service a]\nlisten = systemd:a_B-9@x.socket, "
                                          "127.0.0.1:1\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS);
    const struct config_listen *listens = fixture.config->services[0].listens;
    char text[CONFIG_LISTEN_TEXT_MAX];
    assert_int_equal(listens[0].addr.len, 0);
    assert_string_equal(listens[0].systemd, "a_B-9@x.socket");
    assert_string_equal(config_listen_format(&listens[0], text), "systemd:a_B-9@x.socket");
    assert_null(listens[1].systemd);
    assert_string_equal(config_listen_format(&listens[1], text), "127.0.0.1:1");
    fixture_release(&fixture);
}

static void the_agent_does_not_call_itself(void **state)
{
    (void)state;
    fixture_says("[service a]\nlisten = [::1]:1\naddress = [::1]:1\n" FIXTURE_CA FIXTURE_TLS,
                 "conf:3: address = [::1]:1 of the service \"a\" is where this agent itself "
                 "listens, for the service \"a\"; give the backend's\n");
    fixture_says("[service a]\nexpose = yes\nlisten = 0.0.0.0:1\naddress = 127.0.0.1:1\n" FIXTURE_CA
                     FIXTURE_TLS,
                 "conf:4: address = 127.0.0.1:1 of the service \"a\" is where this agent itself "
                 "listens, for the service \"a\"; give the backend's\n");
    fixture_says(
        "[service a]\nlisten = 127.0.0.1:1\naddress = 127.0.0.1:2\n" FIXTURE_CA FIXTURE_TLS, "");
}

static void exposure_is_asked_for(void **state)
{
    (void)state;
    static const char *const open[] = {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[2001:db8::1]:1"};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text),
                 "[service a]\nlisten = %s\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS, open[i]);
        snprintf(
            expected, sizeof(expected),
            "conf:2: listen = %s can be reached from other hosts, in plaintext; use 127.0.0.1, "
            "or say expose = yes in the service \"a\"\n",
            open[i]);
        fixture_says(text, expected);
    }
    fixture_says("[service a]\nexpose = yes\nlisten = 0.0.0.0:1\n" FIXTURE_ADDRESS FIXTURE_CA
                     FIXTURE_TLS,
                 "");
}

static void versions_have_an_order(void **state)
{
    (void)state;
    fixture_says(FIXTURE_SERVICE "tls_max = 1.2\ntls_min = 1.3\n",
                 "conf:7: tls_min is newer than tls_max in the service \"a\"; raise tls_max or "
                 "lower tls_min\n");
    fixture_says(FIXTURE_SERVICE "tls_max = 1.2\ntls_min = 1.2\n", "");
    fixture_says(FIXTURE_SERVICE "tls_max = 1.3\ntls_min = 1.3\n", "");
}

static void the_mode_is_a_word(void **state)
{
    (void)state;
    fixture_says("[service a]\n" FIXTURE_LISTEN FIXTURE_ADDRESS FIXTURE_CA "tls_mode = off\n",
                 "conf:5: tls_mode = \"off\": this is not a known word; write mtls or tls\n");
}

static void a_key_needs_a_section(void **state)
{
    (void)state;
    fixture_says("workers = 1\n" FIXTURE_SERVICE,
                 "conf:1: a key stands before the first section; put a [section] above it\n");
}

static void defaults_are_checked_once(void **state)
{
    (void)state;
    fixture_says("[defaults]\nidle_timeout = 5\n" FIXTURE_SERVICE
                 "[service b]\nlisten = 127.0.0.1:9002\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
                 "conf:2: idle_timeout = \"5\": this is not a duration; write 1ms to 100d with its "
                 "unit, as in 500ms or 30s, or off\n");
    fixture_says("[defaults]\nidle_timeout = 5\n" FIXTURE_SERVICE "idle_timeout = 1s\n",
                 "conf:2: idle_timeout = \"5\": this is not a duration; write 1ms to 100d with its "
                 "unit, as in 500ms or 30s, or off\n");
    fixture_says("[defaults]\nsocket_mode = 0660\nca = /ca\ntls_mode = tls\n"
                 "[service a]\n" FIXTURE_LISTEN FIXTURE_ADDRESS,
                 "");
}

static void standard_values_are_filled_in(void **state)
{
    (void)state;
    struct fixture fixture = fixture_good(FIXTURE_SERVICE);
    const struct config_agent *agent = &fixture.config->agent;
    const struct config_service *service = &fixture.config->services[0];
    assert_int_equal(agent->workers, 0);
    assert_int_equal(agent->log_level, LEVEL_INFO);
    assert_int_equal(agent->log_format, LOG_TEXT);
    assert_int_equal(agent->shutdown_timeout_ms, 30000);
    assert_false(service->expose);
    assert_int_equal(service->socket_user, (uid_t)-1);
    assert_int_equal(service->socket_group, (gid_t)-1);
    assert_int_equal(service->socket_mode, 0600);
    assert_int_equal(service->sni, CONFIG_SNI_HOST);
    assert_int_equal(service->n_verify_names, 0);
    assert_int_equal(service->tls_min, 12);
    assert_int_equal(service->tls_max, 13);
    assert_null(service->priority);
    assert_true(service->session_reuse);
    assert_int_equal(service->prewarm, 0);
    assert_int_equal(service->prewarm_max_age_ms, 30000);
    assert_int_equal(service->connect_timeout_ms, 5000);
    assert_int_equal(service->handshake_timeout_ms, 5000);
    assert_int_equal(service->idle_timeout_ms, 600000);
    assert_int_equal(service->close_timeout_ms, 10000);
    assert_int_equal(service->max_lifetime_ms, 0);
    assert_int_equal(service->max_connections, 10000);
    assert_int_equal(service->truncation, CONFIG_TRUNCATION_RESET);
    assert_int_equal(service->canary, CONFIG_CANARY_YES);
    assert_true(service->retire_ms == CONFIG_RETIRE_NEVER);
    assert_int_equal(service->n_crls, 0);
    fixture_release(&fixture);
}

static void values_are_read(void **state)
{
    (void)state;
    struct fixture fixture = fixture_good(
        "[agent]\nworkers = 3\nlog_level = debug\nlog_format = json\nshutdown_timeout = 1m\n"
        "[certificate g]\ncert = c.crt\nkey = /k.key\npassword_file = ./pw\n"
        "[service a]\nlisten = 127.0.0.1:1, [::1]:2\nlisten = unix:/run/x\nsocket_mode = 660\n"
        "socket_user = root\nsocket_group = 7\naddress = API.Example.com.:443, [2001:DB8::1]:1\n"
        "ca = system\ncertificate = g\nsni = Name.Example.\nverify_name = uri:spiffe://e/x, "
        "1.2.3.4\n"
        "pin = sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nalpn = h2 , http/1.1\n"
        "tls_min = 1.3\npriority = NORMAL:-VERS-ALL\nidle_timeout = off\nmax_lifetime = 2h\n"
        "truncation = eof\nallow_common_name = yes\ncanary = require\nretire = drain\n"
        "session_reuse = no\nprewarm = auto\nprewarm_max_age = 1h\n");
    const struct config_service *service = &fixture.config->services[0];
    const struct config_certificate *certificate = &fixture.config->certificates[0];
    char cwd[128], path[256];
    snprintf(path, sizeof(path), "%s/c.crt", getcwd(cwd, sizeof(cwd)));
    assert_int_equal(fixture.config->agent.workers, 3);
    assert_int_equal(fixture.config->agent.log_level, LEVEL_DEBUG);
    assert_int_equal(fixture.config->agent.log_format, LOG_JSON);
    assert_int_equal(fixture.config->agent.shutdown_timeout_ms, 60000);
    assert_string_equal(certificate->cert.path, path);
    assert_int_equal(certificate->cert.place.line, 7);
    assert_string_equal(certificate->key.path, "/k.key");
    assert_ptr_equal(service->certificate, certificate);
    assert_true(service->presents_certificate);
    assert_int_equal(service->n_listens, 3);
    assert_int_equal(service->listens[1].addr.sa.sa_family, AF_INET6);
    assert_int_equal(service->listens[2].place.line, 12);
    assert_int_equal(service->socket_user, 0);
    assert_int_equal(service->socket_group, 7);
    assert_int_equal(service->socket_mode, 0660);
    assert_int_equal(service->n_addresses, 2);
    assert_string_equal(service->addresses[0].host, "api.example.com");
    assert_false(service->addresses[0].is_literal);
    assert_string_equal(service->addresses[1].host, "2001:db8::1");
    assert_true(service->addresses[1].is_literal);
    assert_string_equal(service->ca.path, "system");
    assert_int_equal(service->sni, CONFIG_SNI_NAME);
    assert_string_equal(service->sni_name, "name.example");
    assert_int_equal(service->n_verify_names, 2);
    assert_int_equal(service->verify_names[0].kind, NAME_URI);
    assert_int_equal(service->verify_names[1].kind, NAME_IP);
    assert_int_equal(service->pins[0].sha256[0], 0xe3);
    assert_int_equal(service->n_alpn, 2);
    assert_string_equal(service->alpn[0], "h2");
    assert_string_equal(service->priority, "NORMAL:-VERS-ALL");
    assert_int_equal(service->idle_timeout_ms, 0);
    assert_int_equal(service->max_lifetime_ms, 7200000);
    assert_int_equal(service->truncation, CONFIG_TRUNCATION_EOF);
    assert_true(service->allow_common_name);
    assert_int_equal(service->canary, CONFIG_CANARY_REQUIRE);
    assert_true(service->retire_ms == CONFIG_RETIRE_DRAIN);
    assert_false(service->session_reuse);
    assert_true(service->prewarm == CONFIG_PREWARM_AUTO);
    assert_int_equal(service->prewarm_max_age_ms, 3600000);
    fixture_release(&fixture);
}

static void a_service_replaces_what_it_inherits(void **state)
{
    (void)state;
    struct fixture fixture = fixture_good(
        "[certificate g]\ncert = /c\nkey = /k\n"
        "[defaults]\nalpn = h2, http/1.1\nca = /ca\ncertificate = g\nidle_timeout = 1s\n"
        "[service a]\nlisten = 127.0.0.1:1\n" FIXTURE_ADDRESS "alpn = x\n"
        "[service b]\nlisten = 127.0.0.1:2\n" FIXTURE_ADDRESS FIXTURE_TLS);
    const struct config_service *a = &fixture.config->services[0];
    const struct config_service *b = &fixture.config->services[1];
    assert_int_equal(a->n_alpn, 1);
    assert_string_equal(a->alpn[0], "x");
    assert_int_equal(b->n_alpn, 2);
    assert_int_equal(b->idle_timeout_ms, 1000);
    assert_non_null(a->certificate);
    assert_null(b->certificate);
    fixture_release(&fixture);
}

static void credentials_are_found(void **state)
{
    (void)state;
    static const char text[] =
        "[certificate g]\ncert = ${CREDENTIALS_DIRECTORY}/c.crt\nkey = /k\n" FIXTURE_SERVICE;
    unsetenv("CREDENTIALS_DIRECTORY");
    fixture_says(text,
                 "conf:2: cert = \"${CREDENTIALS_DIRECTORY}/c.crt\": CREDENTIALS_DIRECTORY is "
                 "not set; systemd sets it for a unit with LoadCredential=\n");
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
    struct fixture fixture = fixture_good(text);
    assert_string_equal(fixture.config->certificates[0].cert.path, "/run/credentials/x/c.crt");
    fixture_release(&fixture);
    fixture_says("[certificate g]\ncert = ${HOME}/c\nkey = /k\n" FIXTURE_SERVICE,
                 "conf:2: cert = \"${HOME}/c\": the only variable in a path is "
                 "${CREDENTIALS_DIRECTORY}; write the path in full\n");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_thousand_services_load(void **state)
{
    (void)state;
    FILE *file = fopen("conf", "w");
    assert_non_null(file);
    fputs("[defaults]\nca = /ca\ntls_mode = tls\n", file);
    for (int i = 0; i < 1000; i++) {
        fprintf(file, "[service s%d]\nlisten = 127.0.0.1:%d\n" FIXTURE_ADDRESS, i, 10000 + i);
    }
    fclose(file);
    struct fixture fixture = fixture_load("conf");
    assert_string_equal(fixture.said, "");
    assert_int_equal(fixture.config->n_services, 1000);
    assert_string_equal(fixture.config->services[999].name, "s999");
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(a_bad_value_is_refused),
        fixture_test(a_bad_socket_setting_is_refused),
        fixture_test(a_bad_listen_is_refused),
        fixture_test(a_bad_address_is_refused),
        fixture_test(what_is_not_built_is_refused),
        fixture_test(a_bad_section_is_refused),
        fixture_test(what_is_missing_is_named),
        fixture_test(an_identity_has_one_form),
        fixture_test(what_is_said_twice_is_refused),
        fixture_test(a_port_is_taken_once),
        fixture_test(a_socket_of_systemd_is_taken_once),
        fixture_test(the_agent_does_not_call_itself),
        fixture_test(exposure_is_asked_for),
        fixture_test(versions_have_an_order),
        fixture_test(the_mode_is_a_word),
        fixture_test(a_key_needs_a_section),
        fixture_test(defaults_are_checked_once),
        fixture_test(standard_values_are_filled_in),
        fixture_test(values_are_read),
        fixture_test(a_service_replaces_what_it_inherits),
        fixture_test(credentials_are_found),
        fixture_test(a_thousand_services_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
