#include "probe/outcome.h"

#include <stdio.h>
#include <string.h>

/* Where a frame's type stands, and the type of the frame that a server begins with (RFC 9113
 * sections 4.1 and 3.4). */
#define FRAME_TYPE_AT  3
#define FRAME_SETTINGS 4

/* Told by what came first, as far as that goes. */
static bool is_frame(const struct outcome_signs *signs)
{
    return signs->n_first > FRAME_TYPE_AT;
}

static bool is_settings_frame(const struct outcome_signs *signs)
{
    return is_frame(signs) && signs->first[FRAME_TYPE_AT] == FRAME_SETTINGS;
}

static bool is_http1(const struct outcome_signs *signs)
{
    static const char start[] = "HTTP/1.";
    return signs->n_first >= strlen(start) && memcmp(signs->first, start, strlen(start)) == 0;
}

enum http_outcome outcome_judge(const struct outcome_signs *signs, CURLcode code)
{
    if (!signs->had_socket) {
        return HTTP_FAILED;
    }
    /* What libcurl makes of this differs from release to release, up to "receive error". */
    if (signs->is_http2 && is_frame(signs) && !is_settings_frame(signs)) {
        return HTTP_NOT_HTTP;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMEOUT;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2_STREAM:
        return HTTP_CLOSED;
    case CURLE_COULDNT_CONNECT:
        return signs->wants_another ? HTTP_CLOSED : HTTP_UNREACHABLE;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the answer: HTTP/0.9, for example */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2: /* also of a goodbye in good HTTP/2 */
        return signs->is_http2 ? HTTP_CLOSED : HTTP_NOT_HTTP;
    case CURLE_OUT_OF_MEMORY:
        return HTTP_FAILED;
    default: /* too much came, or nothing but interim answers */
        return signs->n_first > 0 ? HTTP_NOT_HTTP : HTTP_FAILED;
    }
}

const char *outcome_explain(const struct outcome_signs *signs, enum http_outcome outcome,
                            CURLcode code, char *text, size_t size)
{
    switch (outcome) {
    case HTTP_ANSWERED:
        return NULL;
    case HTTP_NOT_HTTP:
        if (signs->is_http2 && is_http1(signs)) {
            return "what came back is HTTP/1, not HTTP/2";
        }
        return !signs->is_http2 && is_settings_frame(signs)
                   ? "what came back is HTTP/2, not HTTP/1.1"
                   : "what came back is not HTTP";
    case HTTP_CLOSED:
        return signs->n_first > 0 && !signs->is_http2
                   ? "the connection ended in the middle of an answer"
                   : "the connection ended before an answer";
    case HTTP_TIMEOUT:
        snprintf(text, size, "no answer within %llu ms", (unsigned long long)signs->timeout_ms);
        return text;
    case HTTP_UNREACHABLE: /* libcurl does not always keep the error */
        snprintf(text, size, "the connection was not accepted%s%s", signs->error != 0 ? ": " : "",
                 signs->error != 0 ? strerror((int)signs->error) : "");
        return text;
    case HTTP_FAILED:
        break;
    }
    snprintf(text, size, "the request could not be made: %s", curl_easy_strerror(code));
    return text;
}
