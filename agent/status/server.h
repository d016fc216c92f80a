/* The status endpoint: a small HTTP/1.1 server in the control loop, for people, Prometheus and our
 * own subcommands. A caller has a fixed time for all of a request, from accept to the end of the
 * answer, so that whoever is slow or stuck is in nobody's way: of more than SERVER_GUESTS_MAX at a
 * time the one who has been here for longest has to go. */
#pragma once

#include "status/view.h"

#include <stdbool.h>

#include <uv.h>

#define SERVER_GUESTS_MAX 32
#define SERVER_REQUEST_MS UINT64_C(10000)
#define SERVER_RELOAD_MS  UINT64_C(120000)

/* A POST /reload that waits for its answer. */
struct server_request;

struct server_events {
    /* Tells what is to be shown. Called for a request, and what it returns is not looked at after
     * that; NULL when memory is out. */
    const struct view *(*look)(void *ctx);
    /* Asks for a reload. The request has to be answered, once, now or later. */
    void (*reload)(void *ctx, struct server_request *request);
    uint64_t request_ms; /* time for a request; 0: SERVER_REQUEST_MS */
    uint64_t reload_ms;  /* time for a reload; 0: SERVER_RELOAD_MS */
};

struct server;

/* Makes a server without a socket. `events` is copied. Returns NULL when memory or descriptors are
 * out. */
struct server *server_start(uv_loop_t *loop, const struct server_events *events, void *ctx);

/* Serves whoever connects to the listening socket `fd`, which must be non-blocking, and which it
 * owns from here on, also on failure. What came by a UNIX socket may ask for a reload, the file's
 * mode having decided who that can be; what came by TCP may not. Returns -1 when memory is out. */
int server_listen(struct server *server, int fd, bool is_local_socket);

/* Closes a socket that server_listen() was given; those who are in already are served. */
void server_unlisten(struct server *server, int fd);

/* Answers with HTTP status `status` and a JSON document, which it owns (malloc; NULL: memory was
 * out). Does nothing but free both when the caller has gone, or the server was stopped. */
void server_answer(struct server_request *request, unsigned status, char *json);

/* Closes all sockets and connections. Accepts NULL; returns NULL. */
struct server *server_stop(struct server *server);

/* The version of libmicrohttpd in use. */
const char *server_library_version(void);
