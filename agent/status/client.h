/* One request to the status endpoint of a running agent, as its subcommands make it: by HTTP, over
 * a UNIX socket or loopback TCP, waiting for the answer. */
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_BODY_MAX ((size_t)64 << 20) /* bytes; a longer answer is none */

struct client_request {
    const char *path; /* begins with a slash */
    bool is_post;     /* with nothing in it; else GET */
    long timeout_ms;  /* for all of it */
};

struct client_answer {
    long status;       /* of HTTP; 0: no answer, or not a whole one */
    char *body;        /* owned, followed by a NUL; NULL with no answer */
    size_t len;        /* of the body, without that NUL */
    int error;         /* errno of a connection that was not made; 0: it was, or it is not known */
    bool is_late;      /* the time was over */
    char failure[128]; /* a clause; "" when answered */
};

/* Asks, and fills `ret_answer`, also on failure; to be released with client_release(). Returns -1
 * without an answer. */
int client_ask(const struct addr *addr, const struct client_request *request,
               struct client_answer *ret_answer);

void client_release(struct client_answer *answer);
