/* What an HTTP request is answered with. */
#pragma once

#include "status/route.h"
#include "status/view.h"

#include <stddef.h>

struct reply {
    unsigned status;
    const char *type;  /* Content-Type */
    const char *allow; /* Allow; NULL: none */
    char *body;        /* owned, to be freed by the caller; NULL: memory was out */
    size_t len;
};

/* True when the reply to `route` shows a view. */
bool reply_shows(enum route route);

/* Makes the reply to any route but ROUTE_RELOAD. `view` may be NULL where none is shown. */
void reply_make(enum route route, const struct view *view, struct reply *ret_reply);

/* Takes over a JSON document, or any other one. NULL: memory was out. */
void reply_json(unsigned status, char *json, struct reply *ret_reply);
void reply_text(unsigned status, const char *text, struct reply *ret_reply);
