#include "probe/http.h"

#include "base/cleanup.h"
#include "probe/outcome.h"
#include "worker/watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <curl/curl.h>

/* Bytes of header, interim answers included, and of body that are read at all. libcurl takes no
 * more than 300 kB of the former, and calls more a receive error. */
#define HEADER_MAX ((size_t)256 * 1024)
#define READ_MAX   ((size_t)1024 * 1024)

struct http {
    uv_timer_t timer;     /* first: libuv hands back a pointer to it. It is libcurl's */
    curl_socket_t socket; /* libcurl's; CURL_SOCKET_BAD before it has asked for one, and after */
    struct watch *watch;  /* on a descriptor of ours for it: libcurl does not always say when it
                           * closes its own */
    unsigned wanted;      /* what libcurl waits for on it */
    CURLM *multi;
    CURL *easy;
    struct curl_slist *connect_to;

    bool is_head;
    struct outcome_signs signs;
    http_done *done;
    void *ctx;

    uint64_t started_ns;
    size_t header_read, body_read;
    size_t body_len; /* of what is kept */
    char body[HTTP_BODY_MAX + 1];
    char failure[128];
};

/* ---- how it ends ---- */

static const char *version_of(CURL *easy)
{
    long version = CURL_HTTP_VERSION_NONE;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return "1.0";
    case CURL_HTTP_VERSION_2_0:
        return "2";
    default:
        return "1.1";
    }
}

/* Neither a length, nor chunks, nor frames. */
static bool ends_by_close(CURL *easy)
{
    struct curl_header *field;
    curl_off_t length = -1;
    long version = 0;
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    bool is_chunked =
        curl_easy_header(easy, "Transfer-Encoding", 0, CURLH_HEADER, -1, &field) == CURLHE_OK;
    return length < 0 && !is_chunked && version != CURL_HTTP_VERSION_2_0;
}

/* Once there is a status it is an answer, whole or not. */
static void finish(struct http *http, CURLcode code)
{
    struct curl_header *server = NULL;
    long status = 0;
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &http->signs.error);
    struct http_answer answer = {
        .body = http->body,
        .body_len = http->body_len,
        .duration_us = (uv_hrtime() - http->started_ns) / 1000,
    };
    if (status >= 200) {
        answer.outcome = HTTP_ANSWERED;
        answer.is_whole = code == CURLE_OK || http->body_read > READ_MAX;
        answer.ends_by_close =
            !http->is_head && status != 204 && status != 304 && ends_by_close(http->easy);
        answer.status = (unsigned)status;
        answer.version = version_of(http->easy);
        curl_easy_header(http->easy, "Server", 0, CURLH_HEADER, -1, &server);
        answer.server = server != NULL ? server->value : NULL;
    } else {
        answer.outcome = outcome_judge(&http->signs, code);
    }
    answer.error = (int)http->signs.error;
    answer.failure =
        outcome_explain(&http->signs, answer.outcome, code, http->failure, sizeof(http->failure));
    http->done(http->ctx, &answer);
    http_cancel(http);
}

/* ---- the event loop's side ---- */

/* Before libcurl takes them. */
static void look_at_first_bytes(struct http *http)
{
    struct outcome_signs *signs = &http->signs;
    if (signs->n_first == 0 && http->watch != NULL) {
        ssize_t n = recv(watch_fd(http->watch), signs->first, sizeof(signs->first),
                         MSG_PEEK | MSG_DONTWAIT);
        signs->n_first = n > 0 ? (size_t)n : 0;
    }
}

/* Lets libcurl work. To be the last thing that a callback of libuv does; libcurl's own callbacks
 * must not call it. */
static void act(struct http *http, curl_socket_t socket, int events)
{
    int n;
    look_at_first_bytes(http);
    CURLMcode rc = curl_multi_socket_action(http->multi, socket, events, &n);
    const CURLMsg *message = curl_multi_info_read(http->multi, &n);
    if (message != NULL && message->msg == CURLMSG_DONE) {
        finish(http, message->data.result);
    } else if (rc != CURLM_OK) {
        finish(http, CURLE_OUT_OF_MEMORY);
    } else if (http->socket != CURL_SOCKET_BAD) {
        watch_want(http->watch, http->wanted); /* anew, for an error has stopped it */
    }
}

static void on_ready(void *ctx, unsigned events)
{
    struct http *http = ctx;
    act(http, http->socket,
        ((events & WATCH_READ) != 0 ? CURL_CSELECT_IN : 0) |
            ((events & WATCH_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void on_timer(uv_timer_t *timer)
{
    act((struct http *)timer, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- libcurl's side ---- */

static int set_timer(CURLM *multi, long ms, void *ctx)
{
    struct http *http = ctx;
    (void)multi;
    uv_timer_stop(&http->timer);
    if (ms >= 0) {
        /* Never early, for libcurl might not ask again: libuv counts whole milliseconds. */
        uv_update_time(http->timer.loop);
        uv_timer_start(&http->timer, on_timer, ms > 0 ? (uint64_t)ms + 1 : 0, 0);
    }
    return 0;
}

static int set_wanted(CURL *easy, curl_socket_t socket, int what, void *ctx, void *unused)
{
    struct http *http = ctx;
    (void)easy, (void)unused;
    if (http->socket == CURL_SOCKET_BAD || socket != http->socket) {
        return 0;
    }
    http->wanted = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? WATCH_READ : 0) |
                   (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? WATCH_WRITE : 0);
    watch_want(http->watch, http->wanted);
    return 0;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
    struct http *http = ctx;
    (void)purpose;
    if (http->watch != NULL) {
        http->signs.wants_another = true;
        return CURL_SOCKET_BAD;
    }
    AUTO_CLOSE int fd =
        socket(addr->family, addr->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, addr->protocol);
    int ours = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    http->watch = ours >= 0 ? watch_open(http->timer.loop, ours, on_ready, http) : NULL;
    if (http->watch == NULL) {
        return CURL_SOCKET_BAD;
    }
    http->signs.had_socket = true;
    http->socket = cleanup_steal_fd(&fd);
    return http->socket;
}

static int close_socket(void *ctx, curl_socket_t socket)
{
    struct http *http = ctx;
    watch_want(http->watch, 0);
    http->socket = CURL_SOCKET_BAD;
    return close(socket);
}

static size_t count_header(char *line, size_t size, size_t n, void *ctx)
{
    struct http *http = ctx;
    (void)line;
    http->header_read += size * n;
    return http->header_read <= HEADER_MAX ? size * n : 0;
}

static size_t keep_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct http *http = ctx;
    size_t len = size * n;
    size_t room = HTTP_BODY_MAX - http->body_len;
    size_t kept = len < room ? len : room;
    memcpy(http->body + http->body_len, bytes, kept);
    http->body_len += kept;
    http->body_read += len;
    return http->body_read <= READ_MAX ? len : 0;
}

/* ---- its beginning ---- */

static CURLcode global_result;

static void init_globally(void)
{
    global_result = curl_global_init(CURL_GLOBAL_ALL);
}

static bool is_ready_globally(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    return pthread_once(&once, init_globally) == 0 && global_result == CURLE_OK;
}

#define SET(option, value) (curl_easy_setopt(http->easy, (option), (value)) == CURLE_OK)

/* An address in digits keeps libcurl from asking the resolver. */
static bool set_ip(struct http *http, const struct addr *addr)
{
    char address[ADDR_TEXT_MAX], rule[ADDR_TEXT_MAX + 2]; /* any host and any port: the address */
    snprintf(rule, sizeof(rule), "::%s", addr_format(addr, address));
    http->connect_to = curl_slist_append(NULL, rule);
    return http->connect_to != NULL && SET(CURLOPT_CONNECT_TO, http->connect_to);
}

static bool set_unix(struct http *http, const struct addr *addr)
{
    char name[sizeof(addr->un.sun_path) + 1] = "";
    memcpy(name, addr->un.sun_path, addr->len - offsetof(struct sockaddr_un, sun_path));
    return name[0] == '\0' ? SET(CURLOPT_ABSTRACT_UNIX_SOCKET, name + 1)
                           : SET(CURLOPT_UNIX_SOCKET_PATH, name);
}

static bool set_connection(struct http *http, const struct addr *addr)
{
    return (addr->sa.sa_family == AF_UNIX ? set_unix(http, addr) : set_ip(http, addr)) &&
           SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) && SET(CURLOPT_OPENSOCKETDATA, http) &&
           SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket) && SET(CURLOPT_CLOSESOCKETDATA, http) &&
           SET(CURLOPT_FRESH_CONNECT, 1L) && SET(CURLOPT_FORBID_REUSE, 1L);
}

/* Neither the environment, nor the user's home, nor the answer changes what is asked, or whom. */
static bool set_limits(struct http *http)
{
    return SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*") &&
           SET(CURLOPT_PROTOCOLS_STR, "http") && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && SET(CURLOPT_NOSIGNAL, 1L) &&
           SET(CURLOPT_HTTP09_ALLOWED, 0L) && SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
           SET(CURLOPT_TIMEOUT_MS, (long)http->signs.timeout_ms) &&
           SET(CURLOPT_HEADERFUNCTION, count_header) && SET(CURLOPT_HEADERDATA, http) &&
           SET(CURLOPT_WRITEFUNCTION, keep_body) && SET(CURLOPT_WRITEDATA, http);
}

static bool set_request(struct http *http, const struct http_request *request)
{
    http->is_head = strcmp(request->method, "HEAD") == 0;
    return SET(CURLOPT_URL, request->url) && SET(CURLOPT_PATH_AS_IS, 1L) &&
           SET(CURLOPT_USERAGENT, "mtls-agent/" PACKAGE_VERSION) &&
           SET(CURLOPT_HTTP_VERSION, request->is_http2 ? (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                                                       : (long)CURL_HTTP_VERSION_1_1) &&
           (http->is_head ? SET(CURLOPT_NOBODY, 1L) : SET(CURLOPT_CUSTOMREQUEST, request->method));
}

static bool set_multi(struct http *http)
{
    return curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, set_wanted) == CURLM_OK &&
           curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
           curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
           curl_multi_add_handle(http->multi, http->easy) == CURLM_OK;
}

struct http *http_start(uv_loop_t *loop, const struct addr *addr,
                        const struct http_request *request, http_done *done, void *ctx)
{
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        return NULL;
    }
    uv_timer_init(loop, &http->timer);
    http->socket = CURL_SOCKET_BAD;
    http->signs.is_http2 = request->is_http2;
    http->signs.timeout_ms = request->timeout_ms;
    http->done = done;
    http->ctx = ctx;
    http->started_ns = uv_hrtime();
    if (!is_ready_globally()) {
        return http_cancel(http);
    }
    http->multi = curl_multi_init();
    http->easy = curl_easy_init();
    bool is_set = http->multi != NULL && http->easy != NULL && set_connection(http, addr) &&
                  set_limits(http) && set_request(http, request) && set_multi(http);
    return is_set ? http : http_cancel(http);
}

static void on_timer_closed(uv_handle_t *timer)
{
    free(timer);
}

struct http *http_cancel(struct http *http)
{
    if (http == NULL) {
        return NULL;
    }
    if (http->multi != NULL && http->easy != NULL) {
        curl_multi_remove_handle(http->multi, http->easy);
    }
    curl_easy_cleanup(http->easy);
    curl_multi_cleanup(http->multi);
    curl_slist_free_all(http->connect_to);
    watch_close(http->watch);
    uv_close((uv_handle_t *)&http->timer, on_timer_closed);
    return NULL;
}

const char *http_library_version(void)
{
    static char text[96];
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    snprintf(text, sizeof(text), "libcurl %s (%s)", info->version, info->ssl_version);
    return text;
}
