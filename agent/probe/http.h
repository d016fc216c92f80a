/* One HTTP request on an event loop, by libcurl, in plain text, to an address that somebody else
 * has chosen: nothing is resolved. libcurl stays behind this door. */
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#define HTTP_BODY_MAX 16384 /* bytes of a body that are kept; the rest is read and dropped */

struct http_request {
    const char *method;  /* a token (RFC 9110 section 5.6.2), sent without content */
    const char *url;     /* http://HOST[:PORT]/PATH; Host is made of it, and nothing else */
    bool is_http2;       /* with prior knowledge (RFC 9113 section 3.3) */
    uint64_t timeout_ms; /* for all of it; above 0 */
};

enum http_outcome {
    HTTP_ANSWERED,
    HTTP_NOT_HTTP,    /* something came that is no HTTP, or not of the version asked for */
    HTTP_CLOSED,      /* the connection ended before an answer */
    HTTP_TIMEOUT,     /* there was no answer in time */
    HTTP_UNREACHABLE, /* the address took no connection */
    HTTP_FAILED,      /* the request could not be made: a bad URL, no memory */
};

/* The texts are what the peer sent, with bytes of any kind. */
struct http_answer {
    enum http_outcome outcome;
    const char *failure; /* a clause; NULL when answered */
    unsigned status;     /* of the final answer (RFC 9110 section 15); 0: none */
    bool is_whole;       /* it came to its end, or as far as anybody wants to read */
    bool ends_by_close; /* and that was the end of the connection: it says no length of its own (RFC
                         * 9112 section 6.3) */
    int error;          /* errno of HTTP_UNREACHABLE; 0: not known */
    const char *version; /* "1.0", "1.1", "2"; NULL: no answer */
    const char *server;  /* the Server field; NULL: none */
    const char *body;    /* what came of it, followed by a NUL */
    size_t body_len;
    uint64_t duration_us;
};

struct http;

/* Called once, unless the request was cancelled. The answer is valid during the call. The request
 * is over and freed when this returns. */
typedef void http_done(void *ctx, const struct http_answer *answer);

/* Connects to the address, an IP or a UNIX one, and sends the request. Copies what it is given.
 * Returns NULL when memory is out. Never calls `done` before it returns. */
struct http *http_start(uv_loop_t *loop, const struct addr *addr,
                        const struct http_request *request, http_done *done, void *ctx);

/* Ends the request without calling `done`. The loop must turn once more for the memory to be freed.
 * Accepts NULL; returns NULL. */
struct http *http_cancel(struct http *http);

/* libcurl's version and TLS library at run time, for example "libcurl 7.88.1 (GnuTLS/3.7.9)". */
const char *http_library_version(void);
