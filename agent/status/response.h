/* How a reply goes out through libmicrohttpd. */
#pragma once

#include "status/reply.h"

struct MHD_Connection;

/* Answers a request. Takes over the reply's body. Returns -1 when memory is out. */
int response_send(struct MHD_Connection *connection, struct reply *reply);
