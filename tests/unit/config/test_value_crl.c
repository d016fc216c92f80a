#include <sys/stat.h>

#include "tests/unit/config/fixture.h"

#define CRL_SERVICE FIXTURE_SERVICE "crl = "

static void a_bad_crl_is_refused(void **state)
{
    (void)state;
#define WEB "a CRL is downloaded from http:// or https:// only; write such a URL, or a file"
#define CHARACTERS                                                                                 \
    "a URL has letters, digits and -._~:/?[]@!$&'()*+;=% only; write another byte as %XX, in "     \
    "hexadecimal"
    static const struct {
        const char *value, *said;
    } cases[] = {
        {"ldap://ldap.example.com/cn=ca?certificateRevocationList",
         "nothing is downloaded by LDAP; write the CRL's http:// URL, or a file that something "
         "else keeps fresh"},
        {"file:///etc/ca.crl", "a file needs no URL; write its path alone"},
        {"ftp://example.com/ca.crl", WEB},
        {"httpx://example.com/ca.crl", WEB},
        {"http://", "the URL has no host; write one, as in http://crl.example.com/ca.crl"},
        {"https:///ca.crl", "the URL has no host; write one, as in http://crl.example.com/ca.crl"},
        {"http://?x", "the URL has no host; write one, as in http://crl.example.com/ca.crl"},
        {"http://:80/x", "the host is missing; write HOST:PORT"},
        {"http://a.example:/x", "the port is not a number from 1 to 65535; write HOST:PORT"},
        {"http://a.example:65536/x", "the port is not a number from 1 to 65535; write HOST:PORT"},
        {"http://::1/x", "an IPv6 address needs brackets; write it as in [2001:db8::1]:443"},
        {"http://[::1/x", "brackets hold an IPv6 address; write it as in [2001:db8::1]:443"},
        {"http://a..example/x",
         "a host name has no empty labels; write single dots between its parts"},
        {"http://a.example/x y", CHARACTERS},
        {"http://a.example/\xc3\xbc", CHARACTERS},
        {"http://a.example/<x>", CHARACTERS},
        {"http://a.example/x#y", "what follows # is never sent; remove it"},
        {"${HOME}/x",
         "the only variable in a path is ${CREDENTIALS_DIRECTORY}; write the path in full"},
        /* Sixty slashes make 180 bytes, and "http%3A%2F%2Fa.example" is 22. */
        {"http://a.example////////////////////////////////////////////////////////////",
         "the name of the file in which it is kept would be too long; write a shorter URL"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512], expected[512];
        snprintf(text, sizeof(text), CRL_SERVICE "%s\n", cases[i].value);
        snprintf(expected, sizeof(expected), "conf:6: crl = \"%s\": %s\n", cases[i].value,
                 cases[i].said);
        fixture_says(text, expected);
    }
    fixture_says(CRL_SERVICE "1,2,3,4,5,6,7,8,9\n",
                 "conf:6: crl = \"9\": the list takes 8 values at most; remove some\n");
}

static void a_password_is_not_repeated(void **state)
{
    (void)state;
    static const char said[] = "conf:6: crl has a URL with a user part, and revocation lists are "
                               "public; remove what ends with @\n";
    fixture_says(CRL_SERVICE "http://me:secret@crl.example.com/x\n", said);
    fixture_says(CRL_SERVICE "ftp://me:secret@crl.example.com\n", said);
    fixture_says(CRL_SERVICE "http://crl.example.com/me@x\n", "");
}

/* Loads a service with one CRL and compares what becomes of it. */
static void assert_crl(const char *value, const char *path, const char *url)
{
    char text[512];
    snprintf(text, sizeof(text), CRL_SERVICE "%s\n", value);
    struct fixture fixture = fixture_good(text);
    const struct config_service *service = &fixture.config->services[0];
    assert_int_equal(service->n_crls, 1);
    assert_int_equal(service->crls[0].place.line, 6);
    assert_string_equal(service->crls[0].path, path);
    if (url != NULL) {
        assert_string_equal(service->crls[0].url, url);
    } else {
        assert_null(service->crls[0].url);
    }
    fixture_release(&fixture);
}

static void a_file_is_found_as_any_other(void **state)
{
    (void)state;
    char cwd[128], path[256];
    snprintf(path, sizeof(path), "%s/pki/ca.crl", getcwd(cwd, sizeof(cwd)));
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
    assert_crl("pki/ca.crl", path, NULL);
    assert_crl("/a://b", "/a://b", NULL);
    assert_crl("${CREDENTIALS_DIRECTORY}/ca.crl", "/run/credentials/x/ca.crl", NULL);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_comma_in_a_folder_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    assert_int_equal(mkdir("a,b", 0700), 0);
    fixture_write("a,b/conf", CRL_SERVICE "ca.crl\n");
    fixture = fixture_load("a,b/conf");
    assert_string_equal(fixture.said, "a,b/conf:6: crl = \"ca.crl\": a comma in the path would end "
                                      "the value; rename its folder\n");
    fixture_release(&fixture);
}

static void a_download_has_a_file_of_its_own(void **state)
{
    (void)state;
#define URL  "http://crl.example.com/ca-1_a.crl"
#define NAME "http%3A%2F%2Fcrl.example.com%2Fca-1_a.crl"
    static const struct {
        const char *directory, *path;
    } cases[] = {
        {NULL, "/var/lib/mtls-agent/crl/" NAME},       {"", "/var/lib/mtls-agent/crl/" NAME},
        {"relative", "/var/lib/mtls-agent/crl/" NAME}, {"/srv/state", "/srv/state/crl/" NAME},
        {"/srv/one:/srv/two", "/srv/one/crl/" NAME},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].directory != NULL) {
            setenv("STATE_DIRECTORY", cases[i].directory, 1);
        } else {
            unsetenv("STATE_DIRECTORY");
        }
        assert_crl(URL, cases[i].path, URL);
    }
    setenv("STATE_DIRECTORY", "/s", 1);
    assert_crl("https://[::1]:8443/%2e?a=~b",
               "/s/crl/https%3A%2F%2F%5B%3A%3A1%5D%3A8443%2F%252e%3F"
               "a%3D%7Eb",
               "https://[::1]:8443/%2e?a=~b");
    assert_crl("HTTPS://a.example", "/s/crl/HTTPS%3A%2F%2Fa.example", "HTTPS://a.example");
    unsetenv("STATE_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(a_bad_crl_is_refused),
        fixture_test(a_password_is_not_repeated),
        fixture_test(a_file_is_found_as_any_other),
        fixture_test(a_comma_in_a_folder_is_told),
        fixture_test(a_download_has_a_file_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
