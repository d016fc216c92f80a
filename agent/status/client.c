#include "status/client.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define CHUNK ((size_t)64 << 10) /* bytes that the body starts with */

/* A body as it comes in. */
struct body {
    char *bytes;
    size_t len, cap;
    bool is_too_long;
};

static bool make_room(struct body *body, size_t more)
{
    size_t cap = body->cap > 0 ? body->cap : CHUNK;
    while (cap <= body->len + more) {
        cap *= 2;
    }
    char *bytes = cap > body->cap ? realloc(body->bytes, cap) : body->bytes;
    if (bytes == NULL) {
        return false;
    }
    body->bytes = bytes;
    body->cap = cap > body->cap ? cap : body->cap;
    return true;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct body *body = ctx;
    size_t len = size * n;
    body->is_too_long = len > CLIENT_BODY_MAX - body->len;
    if (body->is_too_long || !make_room(body, len)) {
        return 0;
    }
    memcpy(body->bytes + body->len, bytes, len);
    body->len += len;
    body->bytes[body->len] = '\0';
    return len;
}

#define SET(option, value) (curl_easy_setopt(curl, (option), (value)) == CURLE_OK)

/* libcurl copies the texts. */
static bool set_address(CURL *curl, const struct addr *addr, const char *path)
{
    char text[ADDR_TEXT_MAX], url[2 * ADDR_TEXT_MAX];
    addr_format(addr, text);
    if (addr->sa.sa_family == AF_UNIX) {
        snprintf(url, sizeof(url), "http://localhost%s", path);
        return SET(CURLOPT_UNIX_SOCKET_PATH, text + strlen("unix:")) && SET(CURLOPT_URL, url);
    }
    snprintf(url, sizeof(url), "http://%s%s", text, path);
    return SET(CURLOPT_URL, url);
}

/* Neither the environment, nor the user's home, nor the answer changes what is asked, or whom. */
static bool set_limits(CURL *curl, const struct client_request *request)
{
    return SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOPROXY, "*") &&
           SET(CURLOPT_PROTOCOLS_STR, "http") && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && SET(CURLOPT_NOSIGNAL, 1L) &&
           SET(CURLOPT_HTTP09_ALLOWED, 0L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(CURLOPT_USERAGENT, "mtls-agent/" PACKAGE_VERSION) &&
           SET(CURLOPT_TIMEOUT_MS, request->timeout_ms);
}

static bool set_request(CURL *curl, const struct client_request *request, struct body *body)
{
    bool is_set = !request->is_post || (SET(CURLOPT_POST, 1L) && SET(CURLOPT_POSTFIELDS, "") &&
                                        SET(CURLOPT_POSTFIELDSIZE, 0L));
    return is_set && SET(CURLOPT_WRITEFUNCTION, take_body) && SET(CURLOPT_WRITEDATA, body);
}

/* A clause for what went wrong once the request could be made. */
static const char *explain(CURLcode code, const struct body *body,
                           const struct client_answer *answer)
{
    if (body->is_too_long) {
        return "the answer is too long";
    }
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return answer->error != 0 ? strerror(answer->error) : "no connection";
    case CURLE_OPERATION_TIMEDOUT:
        return "no answer in time";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return "the connection ended before the whole answer had come";
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, and what is none */
    case CURLE_WEIRD_SERVER_REPLY:
        return "what answers does not speak HTTP";
    default:
        return curl_easy_strerror(code);
    }
}

static void take_failure(CURL *curl, CURLcode code, const struct body *body,
                         struct client_answer *answer)
{
    long error = 0;
    if (code == CURLE_COULDNT_CONNECT) {
        curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
    }
    answer->error = (int)error;
    answer->is_late = code == CURLE_OPERATION_TIMEDOUT;
    snprintf(answer->failure, sizeof(answer->failure), "%s", explain(code, body, answer));
}

/* An answer without a body has an empty one. */
static bool finish_body(struct body *body)
{
    if (!make_room(body, 0)) {
        return false;
    }
    body->bytes[body->len] = '\0';
    return true;
}

int client_ask(const struct addr *addr, const struct client_request *request,
               struct client_answer *ret_answer)
{
    struct body body = {0};
    *ret_answer = (struct client_answer){.failure = "out of memory"};
    CURL *curl = curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK ? curl_easy_init() : NULL;
    if (curl != NULL && set_address(curl, addr, request->path) && set_limits(curl, request) &&
        set_request(curl, request, &body)) {
        CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK) {
            take_failure(curl, code, &body, ret_answer);
        } else if (finish_body(&body)) {
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret_answer->status);
            ret_answer->failure[0] = '\0';
            ret_answer->len = body.len;
            ret_answer->body = cleanup_steal(body.bytes);
        }
    }
    free(body.bytes);
    curl_easy_cleanup(curl);
    return ret_answer->body != NULL ? 0 : -1;
}

void client_release(struct client_answer *answer)
{
    free(answer->body);
    *answer = (struct client_answer){0};
}
