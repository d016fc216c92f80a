#include "tests/unit/config/fixture.h"

#define STANDARD "/run/mtls-agent/status.sock"

static void a_bad_status_is_refused(void **state)
{
    (void)state;
#define OPEN(port)                                                                                 \
    "other hosts could reach it, and /metrics and /status tell about this host; write "            \
    "127.0.0.1:" port ", [::1]:" port " or unix:/PATH"
    static const struct {
        const char *value, *said;
    } cases[] = {
        {"0.0.0.0:9464", OPEN("9464")},
        {"192.0.2.1:1", OPEN("1")},
        {"[::]:9464", OPEN("9464")},
        {"[2001:db8::1]:9464", OPEN("9464")},
        {"[::ffff:127.0.0.1]:1", "this is an IPv4 address in IPv6's clothes; write it as IPv4"},
        {"localhost:9464", "an IP address is wanted, not a name; write 127.0.0.1:9464"},
        {"9464", "the address is missing; write 127.0.0.1:9464"},
        {"OFF", "the port is missing; write HOST:PORT"},
        {"unix:x", "the path is not absolute; write unix:/run/mtls-agent/NAME.sock"},
        {"systemd:x", "the status endpoint takes no socket from systemd; write unix:/PATH or "
                      "127.0.0.1:PORT"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text), "[agent]\nstatus = %s\n" FIXTURE_SERVICE, cases[i].value);
        snprintf(expected, sizeof(expected), "conf:2: status = \"%s\": %s\n", cases[i].value,
                 cases[i].said);
        fixture_says(text, expected);
    }
    fixture_says("[agent]\nstatus = unix:/1, unix:/2, unix:/3, unix:/4, unix:/5, unix:/6\n"
                 "status = unix:/7, unix:/8, unix:/9\n" FIXTURE_SERVICE,
                 "conf:3: status = \"unix:/9\": the list takes 8 values at most; remove some\n");
}

static void off_stands_alone(void **state)
{
    (void)state;
    static const char said[] =
        "conf:2: status is off and also on; remove off, or all other values\n";
    fixture_says("[agent]\nstatus = off, unix:/x\n" FIXTURE_SERVICE, said);
    fixture_says("[agent]\nstatus = off\nstatus = 127.0.0.1:1\n" FIXTURE_SERVICE, said);
    fixture_says("[agent]\nstatus = off, off\n" FIXTURE_SERVICE, said);
    struct fixture fixture = fixture_good("[agent]\nstatus = off\n" FIXTURE_SERVICE);
    assert_int_equal(fixture.config->agent.n_status, 1);
    assert_int_equal(fixture.config->agent.status[0].addr.len, 0);
    assert_false(fixture.config->agent.status[0].is_standard);
    fixture_release(&fixture);
}

static void it_is_known_whether_it_was_asked_for(void **state)
{
    (void)state;
    struct fixture fixture = fixture_good(FIXTURE_SERVICE);
    assert_int_equal(fixture.config->agent.n_status, 1);
    assert_string_equal(fixture.config->agent.status[0].addr.un.sun_path, STANDARD);
    assert_true(fixture.config->agent.status[0].is_standard);
    fixture_release(&fixture);
    fixture = fixture_good("[agent]\nstatus = unix:" STANDARD ", 127.1.2.3:9464, "
                           "[::1]:9464\n" FIXTURE_SERVICE);
    assert_int_equal(fixture.config->agent.n_status, 3);
    assert_false(fixture.config->agent.status[0].is_standard);
    assert_int_equal(fixture.config->agent.status[2].place.line, 2);
    fixture_release(&fixture);
}

static void a_place_is_taken_once(void **state)
{
    (void)state;
#define TAKEN(key, where, owner, other, at)                                                        \
    "conf:" at ": " key " = " where " of " owner                                                   \
    " is taken; choose another, for it is used by " other "\n"
    fixture_says("[agent]\nstatus = 127.0.0.1:1, 127.0.0.1:1\n" FIXTURE_SERVICE,
                 TAKEN("status", "127.0.0.1:1", "the status endpoint",
                       "the status endpoint at conf:2", "2"));
    fixture_says(
        "[agent]\nstatus = unix:/x\n[service a]\nlisten = unix:/x\n" FIXTURE_ADDRESS FIXTURE_CA
            FIXTURE_TLS,
        TAKEN("listen", "unix:/x", "the service \"a\"", "the status endpoint at conf:2", "4"));
    fixture_says(
        "[service a]\nexpose = yes\nlisten = 0.0.0.0:1\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS
        "[agent]\nstatus = 127.0.0.1:1\n",
        TAKEN("listen", "0.0.0.0:1", "the service \"a\"", "the status endpoint at conf:8", "3"));
    fixture_says("[service a]\nlisten = unix:" STANDARD "\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
                 TAKEN("listen", "unix:" STANDARD, "the service \"a\"",
                       "the status endpoint unless status says otherwise", "2"));
    fixture_says("[agent]\nstatus = off\n[service a]\nlisten = unix:" STANDARD
                 "\n" FIXTURE_ADDRESS FIXTURE_CA FIXTURE_TLS,
                 "");
    fixture_says("[agent]\nstatus = [::1]:1\n[service a]\nlisten = 127.0.0.1:1\n"
                 "address = [::1]:1\n" FIXTURE_CA FIXTURE_TLS,
                 "conf:5: address = [::1]:1 of the service \"a\" is where this agent itself "
                 "listens, for the status endpoint; give the backend's\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(a_bad_status_is_refused),
        fixture_test(off_stands_alone),
        fixture_test(it_is_known_whether_it_was_asked_for),
        fixture_test(a_place_is_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
