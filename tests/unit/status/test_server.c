#include "base/cleanup.h"
#include "status/json.h"
#include "status/server.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/status/fixture.h"

#define REQUEST_MS 300
#define RELOAD_MS  600
#define HANG_MS    10000

/* A server in a loop of its own, which turns while the test waits for something. */
struct stage {
    uv_loop_t loop;
    uv_timer_t alarm; /* so that a wait ends */
    struct server *server;
    struct fixture fixture;
    struct addr addr; /* abstract, so that no file is left */
    int listener;     /* the server's */
    struct server_request *requests[64];
    size_t n_requests;
    bool answers_at_once;
    unsigned looks;
};

static struct stage stage;

static const struct view *look(void *ctx)
{
    struct stage *it = ctx;
    it->looks++;
    return &it->fixture.view;
}

static char *outcome(void)
{
    return json_reload(&(struct view_reload){.is_ok = true, .generation = 4});
}

static void reload(void *ctx, struct server_request *request)
{
    struct stage *it = ctx;
    if (it->answers_at_once) {
        server_answer(request, 200, outcome());
        return;
    }
    it->requests[it->n_requests++] = request;
}

static void on_alarm(uv_timer_t *timer)
{
    (void)timer;
}

static int listen_abstract(struct addr *ret_addr)
{
    struct addr addr = {.un = {.sun_family = AF_UNIX}};
    int len = snprintf(addr.un.sun_path + 1, sizeof(addr.un.sun_path) - 1, "mtls-agent-unit-%d",
                       (int)getpid());
    addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(listen(fd, 128), 0);
    *ret_addr = addr;
    return fd;
}

static void start(bool is_local_socket)
{
    const struct server_events events = {look, reload, REQUEST_MS, RELOAD_MS};
    memset(&stage, 0, sizeof(stage));
    fixture_fill(&stage.fixture);
    uv_loop_init(&stage.loop);
    uv_timer_init(&stage.loop, &stage.alarm);
    uv_timer_start(&stage.alarm, on_alarm, 5, 5);
    stage.server = server_start(&stage.loop, &events, &stage);
    assert_non_null(stage.server);
    stage.listener = listen_abstract(&stage.addr);
    assert_int_equal(server_listen(stage.server, stage.listener, is_local_socket), 0);
}

static int setup(void **state)
{
    (void)state;
    start(true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stage.server = server_stop(stage.server);
    for (size_t i = 0; i < stage.n_requests; i++) {
        server_answer(stage.requests[i], 200, outcome());
    }
    uv_close((uv_handle_t *)&stage.alarm, NULL);
    uv_run(&stage.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage.loop), 0);
    fixture_release(&stage.fixture);
    return 0;
}

static void turn(void)
{
    uv_run(&stage.loop, UV_RUN_ONCE);
}

static int call(const char *request)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &stage.addr.sa, stage.addr.len), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    return fd;
}

/* Turns the loop until the server has closed, and returns what came before. */
static char *hear(int fd)
{
    struct writer writer = {0};
    char bytes[65536];
    size_t len;
    uint64_t until = clock_ms() + HANG_MS;
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            break;
        }
        if (n > 0) {
            writer_add_bytes(&writer, bytes, (size_t)n);
            continue;
        }
        assert_true(clock_ms() < until);
        turn();
    }
    close(fd);
    return writer_take(&writer, &len);
}

static void expect(const char *request, const char *status, const char *part)
{
    AUTO_FREE char *answer = hear(call(request));
    assert_non_null(answer);
    if (strncmp(answer, status, strlen(status)) != 0 || strstr(answer, part) == NULL) {
        fail_msg("no '%s' and '%s' in:\n%s", status, part, answer);
    }
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define RELOAD    "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"

static void test_routes(void **state)
{
    (void)state;
    expect(GET("/metrics"), "HTTP/1.1 200 ", "\nmtls_agent_workers 2\n");
    expect(GET("/metrics"), "HTTP/1.1 200 ", "Content-Type: text/plain; version=0.0.4");
    expect(GET("/status"), "HTTP/1.1 200 ", "Content-Type: application/json\r\n");
    expect(GET("/"), "HTTP/1.1 200 ", "Content-Security-Policy: default-src 'none';");
    expect(GET("/healthz"), "HTTP/1.1 200 ", "\r\n\r\nok\n");
    expect(GET("/readyz"), "HTTP/1.1 503 ", "mesh: no address\n");
    expect(GET("/nowhere"), "HTTP/1.1 404 ", "Connection: close\r\n");
    expect(GET("/reload"), "HTTP/1.1 405 ", "Allow: POST\r\n");
    expect("PUT /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab",
           "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n");
    expect("GET /healthz?a=b HTTP/1.0\r\n\r\n", "HTTP/1.", "ok\n");
    assert_int_equal(stage.looks, 5);
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    AUTO_FREE char *answer = hear(call("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end, "\r\n\r\n");
    assert_non_null(strstr(answer, "Content-Length: "));
    assert_null(strstr(answer, "Content-Length: 0\r\n"));
}

static void test_requests_are_bounded(void **state)
{
    char request[20000];
    (void)state;
    snprintf(request, sizeof(request), "GET /%018000d HTTP/1.1\r\n\r\n", 0);
    expect(request, "HTTP/1.1 414 ", "");
    snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: localhost\r\nX: %018000d\r\n\r\n",
             0);
    expect(request, "HTTP/1.1 431 ", "");
    expect("POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4097\r\n\r\n",
           "HTTP/1.1 413 ", "");
    expect("POST /reload HTTP/1.1\r\nHost: localhost\r\n"
           "Content-Length: 99999999999999999999999\r\n\r\n",
           "HTTP/1.1 4", "");
}

static void test_a_body_without_a_length_is_bounded(void **state)
{
    char request[6000];
    (void)state;
    snprintf(request, sizeof(request),
             "POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
             "1400\r\n%05120d\r\n0\r\n\r\n",
             0);
    AUTO_FREE char *answer = hear(call(request));
    assert_string_equal(answer, "");
    assert_int_equal(stage.n_requests, 0);
}

static void test_who_is_slow_has_to_go(void **state)
{
    (void)state;
    uint64_t began = clock_ms();
    AUTO_FREE char *nothing = hear(call(""));
    assert_string_equal(nothing, "");
    AUTO_FREE char *little = hear(call("GET /metrics HT"));
    assert_true(clock_ms() - began >= 2 * REQUEST_MS - 50);
    assert_true(clock_ms() - began < HANG_MS);
    assert_null(strstr(little, "200 OK"));
}

/* A byte now and then is no reason to stay. */
static void test_the_time_is_for_all_of_a_request(void **state)
{
    (void)state;
    int fd = call("GET / HTTP/1.1\r\nX: ");
    uint64_t until = clock_ms() + HANG_MS;
    while (send(fd, "a", 1, MSG_NOSIGNAL) == 1) {
        assert_true(clock_ms() < until);
        turn();
    }
    close(fd);
}

static void test_who_does_not_read_has_to_go(void **state)
{
    int room = 4096;
    (void)state;
    stage.fixture.other_cas[0].subject = calloc(1, 1000001);
    memset(stage.fixture.other_cas[0].subject, 'a', 1000000);
    int fd = call(GET("/metrics"));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    for (uint64_t until = clock_ms() + 2 * REQUEST_MS; clock_ms() < until;) {
        turn();
    }
    AUTO_FREE char *answer = hear(fd); /* what was in the socket */
    assert_true(strlen(answer) < 1000000);
    free(stage.fixture.other_cas[0].subject);
    stage.fixture.other_cas[0].subject = constant("");
}

static void test_many_slow_ones_keep_nobody_out(void **state)
{
    int slow[100];
    (void)state;
    for (size_t i = 0; i < COUNT(slow); i++) {
        slow[i] = call("GET /met");
    }
    expect(GET("/metrics"), "HTTP/1.1 200 ", "mtls_agent_workers 2\n");
    for (size_t i = 0; i < COUNT(slow); i++) {
        close(slow[i]);
    }
    expect(GET("/healthz"), "HTTP/1.1 200 ", "ok\n");
}

static void test_a_caller_leaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < 100; i++) {
        close(call(i % 2 == 0 ? GET("/metrics") : "GET"));
        turn();
    }
    expect(GET("/healthz"), "HTTP/1.1 200 ", "ok\n");
}

/* The loop does not spin, and goes on when there are some again. */
static void test_descriptors_may_be_out(void **state)
{
    struct rlimit limit;
    unsigned turns = 0;
    (void)state;
    int fd = call(GET("/healthz"));
    getrlimit(RLIMIT_NOFILE, &limit);
    const struct rlimit none_left = {(rlim_t)fd + 1, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    for (uint64_t until = clock_ms() + REQUEST_MS; clock_ms() < until; turns++) {
        turn();
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_true(turns < REQUEST_MS);
    expect(GET("/healthz"), "HTTP/1.1 200 ", "ok\n");
    close(fd);
}

static void test_a_socket_is_given_up(void **state)
{
    (void)state;
    int fd = call(GET("/healthz"));
    turn();
    server_unlisten(stage.server, stage.listener);
    AUTO_FREE char *answer = hear(fd);
    assert_non_null(strstr(answer, "\r\n\r\nok\n"));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &stage.addr.sa, stage.addr.len), -1);
    close(fd);
}

/* --- Reload --- */

static void wait_for_requests(size_t n)
{
    uint64_t until = clock_ms() + HANG_MS;
    while (stage.n_requests < n) {
        assert_true(clock_ms() < until);
        turn();
    }
}

static void answer_first(void)
{
    server_answer(stage.requests[0], 200, outcome());
    stage.n_requests = 0;
}

static void test_a_reload_is_answered_at_once(void **state)
{
    (void)state;
    stage.answers_at_once = true;
    expect(RELOAD, "HTTP/1.1 200 ", "\"generation\": 4");
}

static void test_a_reload_is_answered_later(void **state)
{
    (void)state;
    int fd = call(RELOAD);
    wait_for_requests(1);
    expect(GET("/healthz"), "HTTP/1.1 200 ", "ok\n");
    for (uint64_t until = clock_ms() + REQUEST_MS + 50; clock_ms() < until;) {
        turn(); /* longer than another request may take */
    }
    answer_first();
    AUTO_FREE char *answer = hear(fd);
    assert_non_null(strstr(answer, "\"result\": \"ok\""));
    assert_non_null(strstr(answer, "Content-Type: application/json\r\n"));
}

static void test_a_reload_without_memory_is_no_answer(void **state)
{
    (void)state;
    int fd = call(RELOAD);
    wait_for_requests(1);
    server_answer(stage.requests[0], 200, NULL);
    stage.n_requests = 0;
    AUTO_FREE char *answer = hear(fd);
    assert_null(strstr(answer, "200 OK"));
}

static void test_a_reload_may_take_too_long(void **state)
{
    (void)state;
    expect(RELOAD, "HTTP/1.1 504 ", "takes too long");
    answer_first(); /* reaches nobody */
    expect(GET("/healthz"), "HTTP/1.1 200 ", "ok\n");
}

static void test_who_asked_for_a_reload_leaves(void **state)
{
    (void)state;
    int fd = call(RELOAD);
    wait_for_requests(1);
    close(fd);
    answer_first();
    expect(GET("/healthz"), "HTTP/1.1 200 ", "ok\n");
}

static void test_reloads_that_wait_are_bounded(void **state)
{
    int fds[SERVER_GUESTS_MAX / 2];
    (void)state;
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = call(RELOAD);
    }
    wait_for_requests(COUNT(fds));
    expect(RELOAD, "HTTP/1.1 503 ", "too many");
    expect(GET("/healthz"), "HTTP/1.1 200 ", "ok\n");
    for (size_t i = 0; i < COUNT(fds); i++) {
        close(fds[i]);
    }
}

static void test_the_server_stops_while_a_reload_waits(void **state)
{
    (void)state;
    int fd = call(RELOAD);
    wait_for_requests(1);
    stage.server = server_stop(stage.server);
    AUTO_FREE char *answer = hear(fd);
    assert_string_equal(answer, "");
    answer_first();
}

static void test_what_came_by_tcp_may_not_reload(void **state)
{
    (void)state;
    teardown(state);
    start(false);
    expect(RELOAD, "HTTP/1.1 403 ", "UNIX socket");
    expect("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 403 ", "localhost");
    expect("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n", "HTTP/1.1 200 ", "");
    assert_int_equal(stage.n_requests, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_routes),
        TEST(test_head_has_no_body),
        TEST(test_requests_are_bounded),
        TEST(test_a_body_without_a_length_is_bounded),
        TEST(test_who_is_slow_has_to_go),
        TEST(test_the_time_is_for_all_of_a_request),
        TEST(test_who_does_not_read_has_to_go),
        TEST(test_many_slow_ones_keep_nobody_out),
        TEST(test_a_caller_leaves),
        TEST(test_descriptors_may_be_out),
        TEST(test_a_socket_is_given_up),
        TEST(test_a_reload_is_answered_at_once),
        TEST(test_a_reload_is_answered_later),
        TEST(test_a_reload_without_memory_is_no_answer),
        TEST(test_a_reload_may_take_too_long),
        TEST(test_who_asked_for_a_reload_leaves),
        TEST(test_reloads_that_wait_are_bounded),
        TEST(test_the_server_stops_while_a_reload_waits),
        TEST(test_what_came_by_tcp_may_not_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
