/* Which answer a request gets. */
#pragma once

#include <stdbool.h>

enum route {
    ROUTE_PAGE,
    ROUTE_STATUS,
    ROUTE_METRICS,
    ROUTE_HEALTH,
    ROUTE_READY,
    ROUTE_RELOAD,
    ROUTE_UNKNOWN,      /* there is no such path */
    ROUTE_METHOD_GET,   /* the path takes GET and HEAD only */
    ROUTE_METHOD_POST,  /* the path takes POST only */
    ROUTE_NOT_FROM_TCP, /* only for who has come by the UNIX socket */
    ROUTE_OTHER_HOST,   /* a browser was made to believe that we are somebody else */
};

struct route_request {
    const char *method, *path; /* without the query */
    const char *host;          /* the Host field; NULL: none */
    bool is_local_socket;
};

enum route route_find(const struct route_request *request);
