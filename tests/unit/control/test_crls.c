/* What asks is real, and what is asked is a socket of the test that says what a case wants. */
#include "control/crls.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S 20

static char home[] = "/tmp/mtls-agent-crls-XXXXXX";

/* A web server that gives the same answer to everybody, or none when that is NULL. */
static struct {
    uv_loop_t loop;
    uv_poll_t poll;
    int fd, silent[8];
    unsigned asked;
    const char *answer;
    char url[64];
} web;

static void on_caller(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events;
    int fd = accept(web.fd, NULL, NULL);
    assert_true(fd >= 0);
    web.asked++;
    if (web.answer == NULL) {
        web.silent[web.asked % 8] = fd;
        return;
    }
    char request[1024];
    assert_true(recv(fd, request, sizeof(request), 0) > 0);
    assert_true(send(fd, web.answer, strlen(web.answer), MSG_NOSIGNAL) > 0);
    close(fd);
}

static int enter(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    (void)state;
    if (mkdtemp(home) == NULL || chdir(home) < 0) {
        return -1;
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    web.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(web.fd, (struct sockaddr *)&address, len) < 0 || listen(web.fd, 16) < 0 ||
        getsockname(web.fd, (struct sockaddr *)&address, &len) < 0) {
        return -1;
    }
    snprintf(web.url, sizeof(web.url), "http://127.0.0.1:%u/ca.crl", ntohs(address.sin_port));
    uv_loop_init(&web.loop);
    uv_poll_init(&web.loop, &web.poll, web.fd);
    uv_poll_start(&web.poll, UV_READABLE, on_caller);
    uv_unref((uv_handle_t *)&web.poll);
    return 0;
}

static int leave(void **state)
{
    char command[sizeof(home) + 16];
    (void)state;
    uv_close((uv_handle_t *)&web.poll, NULL);
    uv_run(&web.loop, UV_RUN_DEFAULT);
    close(web.fd);
    snprintf(command, sizeof(command), "rm -rf '%s'", home);
    return uv_loop_close(&web.loop) == 0 && chdir("/") == 0 ? system(command) : -1;
}

static void on_fetched(void *ctx)
{
    (void)ctx;
}

static bool is_asked(const struct crls *crls)
{
    (void)crls;
    return web.asked > 0;
}

static bool is_problem(const struct crls *crls)
{
    return crls_problem(crls, web.url) != NULL;
}

/* Turns the loop until it is so. */
static void wait_until(bool (*is)(const struct crls *), const struct crls *crls)
{
    time_t end = time(NULL) + PATIENCE_S;
    while (!is(crls)) {
        assert_true(time(NULL) < end);
        uv_run(&web.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

/* Stops, and lets the loop run dry. */
static void stop(struct crls *crls)
{
    time_t start = time(NULL);
    assert_null(crls_stop(crls));
    uv_run(&web.loop, UV_RUN_DEFAULT);
    assert_true(time(NULL) - start <= 3);
}

static void a_failure_has_a_name(void **state)
{
    static const struct {
        const char *answer, *problem;
    } cases[] = {
        {"HTTP/1.0 404 no\r\n\r\n", "the answer was status 404; check the address"},
        {"HTTP/1.0 200 ok\r\n\r\n<html>", "what came: holds no CRL, neither in PEM nor in DER"},
        {"HTTP/1.0 200 ok\r\n\r\n", "what came: is empty"},
        {"HTTP/1.0 200 ok\r\nContent-Length: 99999999\r\n\r\n", "more than 32 MB came"},
        {"HTTP/1.0 302 no\r\nLocation: file:///etc/passwd\r\n\r\n", "ile"},
        {"SSH-2.0-OpenSSH\r\n", "0.9"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crls *crls = crls_start(&web.loop, on_fetched, NULL);
        const struct crls_wanted wanted = {.url = web.url, .path = "deep/below/ca.crl"};
        web.answer = cases[i].answer;
        assert_int_equal(crls_set(crls, &wanted, 1), 0);
        wait_until(is_problem, crls);
        if (strstr(crls_problem(crls, web.url), cases[i].problem) == NULL) {
            fail_msg("%s: %s", cases[i].problem, crls_problem(crls, web.url));
        }
        assert_null(crls_problem(crls, "http://another.test/"));
        assert_int_equal(access("deep/below/ca.crl", F_OK), -1);
        assert_int_equal(crls_set(crls, NULL, 0), 0);
        assert_null(crls_problem(crls, web.url));
        stop(crls);
    }
}

/* Whether a thread waits for an answer, or a job for a thread. */
static void an_end_is_quick_at_any_time(void **state)
{
    (void)state;
    char urls[8][80], paths[8][16];
    struct crls_wanted wanted[8];
    web.answer = NULL;
    for (int i = 0; i < 8; i++) {
        snprintf(urls[i], sizeof(urls[i]), "%.60s?%d", web.url, i);
        snprintf(paths[i], sizeof(paths[i]), "%d.crl", i);
        wanted[i] = (struct crls_wanted){.url = urls[i], .path = paths[i]};
    }
    stop(crls_start(&web.loop, on_fetched, NULL));

    struct crls *crls = crls_start(&web.loop, on_fetched, NULL);
    assert_int_equal(crls_set(crls, wanted, 8), 0);
    stop(crls);

    crls = crls_start(&web.loop, on_fetched, NULL);
    web.asked = 0;
    assert_int_equal(crls_set(crls, wanted, 8), 0);
    wait_until(is_asked, crls);
    assert_int_equal(crls_set(crls, wanted + 1, 3), 0);
    stop(crls);
    assert_null(crls_stop(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_has_a_name),
        cmocka_unit_test(an_end_is_quick_at_any_time),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
