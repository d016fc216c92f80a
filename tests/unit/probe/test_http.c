#include "probe/http.h"
#include "worker/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define READ_AT_MOST ((size_t)1024 * 1024) /* of an answer, as http.c has it */

/* The other end of the connection: it reads a request, then says what it was told to. */
struct server {
    struct watch *watch;
    const char *answer; /* NULL: none */
    size_t len, sent;
    bool closes;   /* when it has said it */
    bool is_blunt; /* it waits for no request */
    bool saw_end;
    char request[4096];
    size_t n_request;
};

static void server_close(struct server *server)
{
    server->watch = watch_close(server->watch);
}

static void server_read(struct server *server)
{
    char bytes[4096];
    ssize_t n = recv(watch_fd(server->watch), bytes, sizeof(bytes), 0);
    if (n <= 0) {
        server->saw_end = true;
        server_close(server);
        return;
    }
    size_t room = sizeof(server->request) - 1 - server->n_request;
    size_t kept = (size_t)n < room ? (size_t)n : room;
    memcpy(server->request + server->n_request, bytes, kept);
    server->n_request += kept;
}

static void server_write(struct server *server)
{
    ssize_t n = send(watch_fd(server->watch), server->answer + server->sent,
                     server->len - server->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        server->saw_end = true;
        server_close(server);
    } else if (n > 0) {
        server->sent += (size_t)n;
    }
}

static void on_server_ready(void *ctx, unsigned events)
{
    struct server *server = ctx;
    if ((events & WATCH_READ) != 0) {
        server_read(server);
    }
    bool asked = server->is_blunt || strstr(server->request, "\r\n\r\n") != NULL;
    if (server->watch != NULL && asked && server->sent < server->len) {
        server_write(server);
    }
    if (server->watch != NULL && asked && server->closes && server->sent == server->len) {
        server_close(server);
    }
    if (server->watch != NULL) {
        watch_want(server->watch,
                   WATCH_READ | (asked && server->sent < server->len ? WATCH_WRITE : 0));
    }
}

/* A request under way, and what became of it. */
struct exchange {
    uv_loop_t loop;
    struct watch *listener;
    struct server server;
    struct http *http;
    unsigned n_done;
    struct http_answer answer; /* its texts are copied below */
    char failure[256], server_field[256], body[HTTP_BODY_MAX + 1];
};

static void close_peers(struct exchange *exchange)
{
    exchange->listener = watch_close(exchange->listener);
    exchange->server.watch = watch_close(exchange->server.watch);
}

static void on_done(void *ctx, const struct http_answer *answer)
{
    struct exchange *exchange = ctx;
    exchange->n_done++;
    exchange->http = NULL;
    exchange->answer = *answer;
    assert_int_equal(answer->body[answer->body_len], '\0');
    memcpy(exchange->body, answer->body, answer->body_len + 1);
    snprintf(exchange->failure, sizeof(exchange->failure), "%s",
             answer->failure != NULL ? answer->failure : "");
    snprintf(exchange->server_field, sizeof(exchange->server_field), "%s",
             answer->server != NULL ? answer->server : "");
    assert_true((answer->failure == NULL) == (answer->outcome == HTTP_ANSWERED));
    close_peers(exchange);
}

static const struct http_request get = {
    .method = "GET",
    .url = "http://api.example.com/",
    .timeout_ms = 10000,
};

static void on_listener_ready(void *ctx, unsigned events)
{
    struct exchange *exchange = ctx;
    struct server *server = &exchange->server;
    (void)events;
    int fd = accept4(watch_fd(exchange->listener), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    exchange->listener = watch_close(exchange->listener);
    server->watch = watch_open(&exchange->loop, fd, on_server_ready, server);
    assert_non_null(server->watch);
    watch_want(server->watch, WATCH_READ | (server->is_blunt ? WATCH_WRITE : 0));
}

static struct exchange *begin_at(struct addr addr, const struct http_request *request,
                                 struct server server)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    assert_non_null(exchange);
    assert_int_equal(uv_loop_init(&exchange->loop), 0);
    int fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(listen(fd, 1), 0);
    addr.len = sizeof(addr.un);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    exchange->listener = watch_open(&exchange->loop, fd, on_listener_ready, exchange);
    watch_want(exchange->listener, WATCH_READ);
    exchange->server = server;
    exchange->http = http_start(&exchange->loop, &addr, request, on_done, exchange);
    assert_non_null(exchange->http);
    assert_int_equal(exchange->n_done, 0);
    return exchange;
}

/* A name in no file system, chosen by the kernel. */
static const struct addr anywhere = {.len = sizeof(sa_family_t), .sa.sa_family = AF_UNIX};

static struct exchange *begin(const struct http_request *request, struct server server)
{
    return begin_at(anywhere, request, server);
}

/* Nothing may be left behind in the loop. */
static void end(struct exchange *exchange)
{
    close_peers(exchange);
    uv_run(&exchange->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&exchange->loop), 0);
    free(exchange);
}

static struct exchange *run(const struct http_request *request, struct server server)
{
    struct exchange *exchange = begin(request, server);
    uv_run(&exchange->loop, UV_RUN_DEFAULT);
    assert_int_equal(exchange->n_done, 1);
    return exchange;
}

static struct server says(const char *answer)
{
    return (struct server){.answer = answer, .len = strlen(answer)};
}

static struct server says_and_closes(const char *answer)
{
    return (struct server){.answer = answer, .len = strlen(answer), .closes = true};
}

static void test_answer_with_a_body(void **state)
{
    (void)state;
    struct exchange *exchange = run(&get, says("HTTP/1.1 200 OK\r\nServer: \x1b[31mred\xff\r\n"
                                               "Content-Length: 5\r\n\r\nhello"));
    assert_int_equal(exchange->answer.outcome, HTTP_ANSWERED);
    assert_int_equal(exchange->answer.status, 200);
    assert_string_equal(exchange->answer.version, "1.1");
    assert_string_equal(exchange->server_field, "\x1b[31mred\xff");
    assert_string_equal(exchange->body, "hello");
    assert_true(exchange->answer.duration_us > 0);
    end(exchange);
}

static void test_request_says_no_more_than_it_must(void **state)
{
    (void)state;
    struct http_request request = get;
    request.url = "http://api.example.com:8080/a/../b?c=%20d";
    struct exchange *exchange = run(&request, says("HTTP/1.0 204 No Content\r\n\r\n"));
    assert_int_equal(exchange->answer.status, 204);
    assert_string_equal(exchange->answer.version, "1.0");
    assert_int_equal(exchange->answer.body_len, 0);
    assert_string_equal(exchange->server.request, "GET /a/../b?c=%20d HTTP/1.1\r\n"
                                                  "Host: api.example.com:8080\r\n"
                                                  "User-Agent: mtls-agent/" PACKAGE_VERSION "\r\n"
                                                  "Accept: */*\r\n\r\n");
    end(exchange);
}

static void test_head_waits_for_no_body(void **state)
{
    (void)state;
    struct http_request request = get;
    request.method = "HEAD";
    struct exchange *exchange =
        run(&request, says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
    assert_int_equal(exchange->answer.status, 200);
    assert_memory_equal(exchange->server.request, "HEAD / HTTP/1.1\r\n", 17);
    end(exchange);
}

static void test_any_method_is_asked(void **state)
{
    (void)state;
    struct http_request request = get;
    request.method = "OPTIONS";
    struct exchange *exchange = run(&request, says("HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(exchange->answer.status, 405);
    assert_memory_equal(exchange->server.request, "OPTIONS / HTTP/1.1\r\n", 20);
    end(exchange);
}

static void test_literal_address_as_host(void **state)
{
    static const char *const hosts[] = {"[2001:db8::1]:8443", "192.0.2.1"};
    (void)state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char url[64], field[64];
        snprintf(url, sizeof(url), "http://%s/", hosts[i]);
        snprintf(field, sizeof(field), "\r\nHost: %s\r\n", hosts[i]);
        struct http_request request = get;
        request.url = url;
        struct exchange *exchange = run(&request, says("HTTP/1.1 204 \r\n\r\n"));
        assert_int_equal(exchange->answer.status, 204);
        assert_non_null(strstr(exchange->server.request, field));
        end(exchange);
    }
}

static void test_refusal_with_a_body(void **state)
{
    (void)state;
    struct exchange *exchange =
        run(&get, says_and_closes("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n"
                                  "Connection: close\r\n\r\nNo required SSL certificate was sent"));
    assert_int_equal(exchange->answer.outcome, HTTP_ANSWERED);
    assert_int_equal(exchange->answer.status, 400);
    assert_string_equal(exchange->server_field, "nginx");
    assert_string_equal(exchange->body, "No required SSL certificate was sent");
    end(exchange);
}

static void test_redirect_is_not_followed(void **state)
{
    (void)state;
    struct exchange *exchange =
        run(&get, says("HTTP/1.1 301 Moved\r\nLocation: http://other.example.com/\r\n"
                       "Content-Length: 0\r\n\r\n"));
    assert_int_equal(exchange->answer.status, 301);
    end(exchange);
}

static void test_chunks_are_put_together(void **state)
{
    (void)state;
    struct exchange *exchange = run(&get, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                               "\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"));
    assert_string_equal(exchange->body, "abcdefg");
    end(exchange);
}

static void test_interim_answers_are_skipped(void **state)
{
    (void)state;
    struct exchange *exchange =
        run(&get, says("HTTP/1.1 100 Continue\r\nServer: interim\r\n\r\n"
                       "HTTP/1.1 103 Early Hints\r\n\r\n"
                       "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
    assert_int_equal(exchange->answer.status, 403);
    assert_string_equal(exchange->server_field, "");
    assert_string_equal(exchange->body, "no");
    end(exchange);
}

static void test_body_that_never_ends_is_an_answer(void **state)
{
    static const char answer[] = "HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nhalf";
    (void)state;
    struct http_request request = get;
    request.timeout_ms = 200;
    struct exchange *exchange = run(&request, says(answer));
    assert_int_equal(exchange->answer.status, 503);
    assert_string_equal(exchange->body, "half");
    end(exchange);

    exchange = run(&get, says_and_closes(answer));
    assert_int_equal(exchange->answer.status, 503);
    assert_string_equal(exchange->body, "half");
    end(exchange);
}

/* An answer of `len` bytes that begins with `start` and goes on with one letter. */
static char *long_answer(const char *start, size_t len)
{
    char *answer = malloc(len);
    assert_non_null(answer);
    memset(answer, 'x', len);
    memcpy(answer, start, strlen(start));
    return answer;
}

static void test_large_body_is_read_and_its_start_kept(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    (void)state;
    size_t len = strlen(head) + 1000000;
    char *answer = long_answer(head, len);
    struct exchange *exchange = run(&get, (struct server){.answer = answer, .len = len});
    assert_int_equal(exchange->answer.status, 200);
    assert_int_equal(exchange->answer.body_len, HTTP_BODY_MAX);
    assert_int_equal(exchange->server.sent, len);
    end(exchange);
    free(answer);
}

static void test_endless_answer_is_cut(void **state)
{
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nServer: ",
    };
    (void)state;
    size_t len = 4 * READ_AT_MOST;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        char *answer = long_answer(heads[i], len);
        struct exchange *exchange = run(&get, (struct server){.answer = answer, .len = len});
        assert_int_equal(exchange->answer.outcome, HTTP_ANSWERED);
        assert_int_equal(exchange->answer.status, 200);
        assert_true(exchange->server.sent < 2 * READ_AT_MOST);
        end(exchange);
        free(answer);
    }
}

static void test_endless_interim_answers_are_cut(void **state)
{
    static const char one[] = "HTTP/1.1 100 Continue\r\nServer: nobody\r\n\r\n";
    (void)state;
    size_t len = 4 * READ_AT_MOST / strlen(one) * strlen(one);
    char *answer = malloc(len);
    assert_non_null(answer);
    for (size_t at = 0; at < len; at += strlen(one)) {
        memcpy(answer + at, one, strlen(one));
    }
    struct exchange *exchange = run(&get, (struct server){.answer = answer, .len = len});
    assert_int_equal(exchange->answer.outcome, HTTP_NOT_HTTP);
    assert_true(exchange->server.sent < 2 * READ_AT_MOST);
    end(exchange);
    free(answer);
}

static void test_silence_ends_in_time(void **state)
{
    (void)state;
    struct http_request request = get;
    request.timeout_ms = 200;
    struct exchange *exchange = run(&request, says(""));
    assert_int_equal(exchange->answer.outcome, HTTP_TIMEOUT);
    assert_string_equal(exchange->failure, "no answer within 200 ms");
    assert_int_equal(exchange->answer.status, 0);
    assert_null(exchange->answer.server);
    assert_in_range(exchange->answer.duration_us, 199000, 10 * 1000000);
    end(exchange);

    exchange = run(&request, says("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(exchange->answer.outcome, HTTP_TIMEOUT);
    end(exchange);
}

static void test_connection_that_ends_without_an_answer(void **state)
{
    (void)state;
    struct exchange *exchange = run(&get, says_and_closes(""));
    assert_int_equal(exchange->answer.outcome, HTTP_CLOSED);
    assert_string_equal(exchange->failure, "the connection ended before an answer");
    end(exchange);

    exchange = run(&get, (struct server){.closes = true, .is_blunt = true});
    assert_int_equal(exchange->answer.outcome, HTTP_CLOSED);
    end(exchange);

    exchange = run(&get, says_and_closes("HTT"));
    assert_int_equal(exchange->answer.outcome, HTTP_CLOSED);
    assert_string_equal(exchange->failure, "the connection ended in the middle of an answer");
    end(exchange);
}

static void test_what_is_not_http_is_named(void **state)
{
    static const char *const answers[] = {
        "<html>an answer of HTTP/0.9</html>\r\n",
        "220 mail.example.com ESMTP\r\n",
        "\x15\x03\x01\x02\x02\x16",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/7.0 200 OK\r\n\r\n",
        "\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct exchange *exchange = run(&get, says_and_closes(answers[i]));
        assert_int_equal(exchange->answer.outcome, HTTP_NOT_HTTP);
        assert_string_equal(exchange->failure, "what came back is not HTTP");
        assert_int_equal(exchange->answer.status, 0);
        end(exchange);
    }
}

/* SETTINGS, empty (RFC 9113 section 6.5). */
static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};

static void test_http2(void **state)
{
    /* Its acknowledgement; then HEADERS of stream 1 that end it: ":status: 204" and "server: h2",
     * the latter by an index of the static table and a literal (RFC 7541 section 6). */
    static const char answer[] = {0,    0,  0, 4,   0,  0, 0, 0, 0,             /* */
                                  0,    0,  0, 4,   1,  0, 0, 0, 0,             /* */
                                  0,    0,  6, 1,   5,  0, 0, 0, 1, (char)0x89, /* */
                                  0x0f, 39, 2, 'h', '2'};
    (void)state;
    struct http_request request = get;
    request.is_http2 = true;
    struct exchange *exchange =
        run(&request, (struct server){.answer = answer, .len = sizeof(answer)});
    assert_int_equal(exchange->answer.outcome, HTTP_ANSWERED);
    assert_int_equal(exchange->answer.status, 204);
    assert_string_equal(exchange->answer.version, "2");
    assert_string_equal(exchange->server_field, "h2");
    assert_memory_equal(exchange->server.request, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    end(exchange);
}

static void test_versions_that_do_not_meet(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 505 Version\r\nContent-Length: 30000\r\n\r\n",
    };
    (void)state;
    struct http_request request = get;
    request.is_http2 = true;
    for (size_t i = 0; i < 2; i++) {
        struct exchange *exchange = run(&request, says_and_closes(answers[i]));
        assert_int_equal(exchange->answer.outcome, HTTP_NOT_HTTP);
        assert_string_equal(exchange->failure, "what came back is HTTP/1, not HTTP/2");
        end(exchange);
    }
    struct exchange *exchange =
        run(&get, (struct server){.answer = settings, .len = sizeof(settings), .closes = true});
    assert_int_equal(exchange->answer.outcome, HTTP_NOT_HTTP);
    assert_string_equal(exchange->failure, "what came back is HTTP/2, not HTTP/1.1");
    end(exchange);
}

static void test_http2_that_ends_without_an_answer(void **state)
{
    /* GOAWAY, and RST_STREAM with REFUSED_STREAM and with HTTP_1_1_REQUIRED, each after SETTINGS.
     */
    static const char answers[][9 + 17] = {
        {0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11},
        {0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7},
        {0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 13},
    };
    static const size_t lens[] = {26, 22, 22};
    (void)state;
    struct http_request request = get;
    request.is_http2 = true;
    for (size_t i = 0; i < 3; i++) {
        struct exchange *exchange =
            run(&request, (struct server){.answer = answers[i], .len = lens[i], .closes = true});
        assert_int_equal(exchange->answer.outcome, HTTP_CLOSED);
        end(exchange);
    }
    struct exchange *exchange =
        run(&request, (struct server){.answer = settings, .len = sizeof(settings), .closes = true});
    assert_int_equal(exchange->answer.outcome, HTTP_CLOSED);
    end(exchange);
    exchange = run(&request, says_and_closes(""));
    assert_int_equal(exchange->answer.outcome, HTTP_CLOSED);
    end(exchange);
}

static void test_request_that_cannot_be_made(void **state)
{
    static const char *const urls[] = {"http://[api/", "https://api.example.com/"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct http_request request = get;
        request.url = urls[i];
        struct exchange *exchange = run(&request, says(""));
        assert_int_equal(exchange->answer.outcome, HTTP_FAILED);
        assert_int_equal(exchange->server.n_request, 0);
        end(exchange);
    }
}

static void test_address_without_a_listener(void **state)
{
    struct addr addrs[2];
    (void)state;
    assert_int_equal(addr_from_path("/nonexistent/agent.sock", &addrs[0]), 0);
    assert_int_equal(addr_parse_ip("127.0.0.1", 1, &addrs[1]), 0);
    for (size_t i = 0; i < 2; i++) {
        struct exchange exchange = {0};
        assert_int_equal(uv_loop_init(&exchange.loop), 0);
        exchange.http = http_start(&exchange.loop, &addrs[i], &get, on_done, &exchange);
        uv_run(&exchange.loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&exchange.loop), 0);
        assert_int_equal(exchange.answer.outcome, HTTP_UNREACHABLE);
        assert_memory_equal(exchange.failure, "the connection was not accepted", 31);
    }
}

static void test_addresses_of_every_family(void **state)
{
    struct addr addrs[3];
    (void)state;
    assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addrs[0]), 0);
    assert_int_equal(addr_parse_ip("::1", 0, &addrs[1]), 0);
    assert_int_equal(addr_from_path("agent.sock", &addrs[2]), 0);
    for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        struct exchange *exchange =
            begin_at(addrs[i], &get, says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        uv_run(&exchange->loop, UV_RUN_DEFAULT);
        assert_int_equal(exchange->answer.status, 200);
        assert_non_null(strstr(exchange->server.request, "\r\nHost: api.example.com\r\n"));
        end(exchange);
    }
    assert_int_equal(unlink("agent.sock"), 0);
}

static void test_cancelled_at_any_point(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n";
    (void)state;
    char *answer = long_answer(head, 900000);
    for (int turns = 0; turns < 12; turns++) {
        struct exchange *exchange = begin(&get, (struct server){.answer = answer, .len = 900000});
        for (int i = 0; i < turns && exchange->http != NULL; i++) {
            uv_run(&exchange->loop, UV_RUN_ONCE);
        }
        bool was_running = exchange->http != NULL;
        bool was_connected = exchange->server.watch != NULL;
        exchange->http = http_cancel(exchange->http);
        exchange->listener = watch_close(exchange->listener);
        uv_run(&exchange->loop, UV_RUN_DEFAULT);
        assert_int_equal(exchange->n_done, was_running ? 0 : 1);
        assert_true(exchange->server.saw_end || !was_connected);
        end(exchange);
    }
    free(answer);
    assert_null(http_cancel(NULL));
}

static void test_requests_side_by_side(void **state)
{
    enum { N = 20 };
    struct exchange *exchanges[N];
    (void)state;
    for (size_t i = 0; i < N; i++) {
        exchanges[i] = begin(&get, says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    }
    for (size_t i = N; i-- > 0;) {
        uv_run(&exchanges[i]->loop, UV_RUN_DEFAULT);
        assert_int_equal(exchanges[i]->answer.status, 200);
        end(exchanges[i]);
    }
}

static void test_library_is_named(void **state)
{
    (void)state;
    const char *version = http_library_version();
    assert_memory_equal(version, "libcurl ", 8);
    assert_non_null(strstr(version, "(GnuTLS/"));
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

/* The first request opens what the libraries keep for good. */
static int count_before(void **state)
{
    static unsigned n;
    end(run(&get, says("HTTP/1.1 204 \r\n\r\n")));
    n = open_descriptors();
    *state = &n;
    return 0;
}

static int compare_after(void **state)
{
    return open_descriptors() == *(unsigned *)*state ? 0 : -1;
}

int main(void)
{
    /* None of these is asked. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_with_a_body),
        cmocka_unit_test(test_request_says_no_more_than_it_must),
        cmocka_unit_test(test_head_waits_for_no_body),
        cmocka_unit_test(test_any_method_is_asked),
        cmocka_unit_test(test_literal_address_as_host),
        cmocka_unit_test(test_refusal_with_a_body),
        cmocka_unit_test(test_redirect_is_not_followed),
        cmocka_unit_test(test_chunks_are_put_together),
        cmocka_unit_test(test_interim_answers_are_skipped),
        cmocka_unit_test(test_body_that_never_ends_is_an_answer),
        cmocka_unit_test(test_large_body_is_read_and_its_start_kept),
        cmocka_unit_test(test_endless_answer_is_cut),
        cmocka_unit_test(test_endless_interim_answers_are_cut),
        cmocka_unit_test(test_silence_ends_in_time),
        cmocka_unit_test(test_connection_that_ends_without_an_answer),
        cmocka_unit_test(test_what_is_not_http_is_named),
        cmocka_unit_test(test_http2),
        cmocka_unit_test(test_versions_that_do_not_meet),
        cmocka_unit_test(test_http2_that_ends_without_an_answer),
        cmocka_unit_test(test_request_that_cannot_be_made),
        cmocka_unit_test(test_address_without_a_listener),
        cmocka_unit_test(test_addresses_of_every_family),
        cmocka_unit_test(test_cancelled_at_any_point),
        cmocka_unit_test(test_requests_side_by_side),
        cmocka_unit_test(test_library_is_named),
    };
    return cmocka_run_group_tests(tests, count_before, compare_after);
}
