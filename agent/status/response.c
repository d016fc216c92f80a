#include "status/response.h"

#include <stddef.h>
#include <stdlib.h>

#include <microhttpd.h>

/* Nothing is kept, nothing is loaded from elsewhere, and nobody frames the page. */
static const struct {
    const char *name, *value;
} headers[] = {
    {"Connection", "close"},
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                                "form-action 'none'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Content-Type-Options", "nosniff"},
};

static void add_headers(struct MHD_Response *response, const struct reply *reply)
{
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        MHD_add_response_header(response, headers[i].name, headers[i].value);
    }
    MHD_add_response_header(response, "Content-Type", reply->type);
    if (reply->allow != NULL) {
        MHD_add_response_header(response, "Allow", reply->allow);
    }
}

static struct MHD_Response *make_response(struct reply *reply)
{
    char *body = reply->body;
    reply->body = NULL;
    struct MHD_Response *response =
        body != NULL ? MHD_create_response_from_buffer(reply->len, body, MHD_RESPMEM_MUST_FREE)
                     : NULL;
    if (response == NULL) {
        free(body);
    }
    return response;
}

int response_send(struct MHD_Connection *connection, struct reply *reply)
{
    struct MHD_Response *response = make_response(reply);
    if (response == NULL) {
        return -1;
    }
    add_headers(response, reply);
    enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result == MHD_YES ? 0 : -1;
}
