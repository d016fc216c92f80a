#include "status/server.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/parse.h"
#include "status/gate.h"
#include "status/guest.h"
#include "status/reply.h"
#include "status/response.h"
#include "status/route.h"
#include "worker/deadline.h"
#include "worker/watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <microhttpd.h>

#define REQUEST_MAX 4096                    /* bytes of a body, which is not looked at */
#define MEMORY_MAX  ((size_t)16384)         /* bytes of a connection's header and more */
#define RELOADS_MAX (SERVER_GUESTS_MAX / 2) /* that wait at a time */

/* libmicrohttpd closes a connection that was shut down at its next turn. */
#define SHUT_AGAIN_MS 1000

struct server {
    struct MHD_Daemon *daemon;
    struct server_events events;
    void *ctx;
    uv_loop_t *loop;
    struct watch *watch;       /* of what libmicrohttpd waits for */
    struct deadline *deadline; /* of what is due first */
    struct list gates;
    struct list guests; /* in the order of arrival */
    unsigned n_guests, n_reloads;
    bool is_resuming;       /* somebody need not wait any more */
    struct guest *arriving; /* while libmicrohttpd is told of it */
};

struct server_request {
    struct guest *guest;   /* NULL: has gone */
    struct server *server; /* valid as long as the guest */
    struct MHD_Connection *connection;
};

/* --- Time --- */

/* Sets the deadline to what comes first: a guest's, or one of libmicrohttpd. */
static void plan(struct server *server)
{
    MHD_UNSIGNED_LONG_LONG patience_ms;
    uint64_t next = guest_patience_ms(&server->guests, clock_ms());
    if (server->is_resuming) {
        next = 0;
    } else if (MHD_get_timeout(server->daemon, &patience_ms) == MHD_YES && patience_ms < next) {
        next = patience_ms;
    }
    if (next == GUEST_NEVER) {
        deadline_clear(server->deadline);
    } else {
        deadline_set(server->deadline, next);
    }
}

static void turn(void *ctx)
{
    struct server *server = ctx;
    server->is_resuming = false;
    MHD_run(server->daemon);
    plan(server);
}

static void on_ready(void *ctx, unsigned events)
{
    (void)events;
    turn(ctx);
}

/* --- Requests that wait --- */

/* Lets libmicrohttpd ask again what to answer, which is in guest->reply by now. */
static void wake(struct server_request *request)
{
    struct server *server = request->server;
    struct guest *guest = request->guest;
    request->guest = NULL;
    guest->request = NULL;
    guest->leave_ms = clock_ms() + server->events.request_ms;
    server->n_reloads--;
    MHD_resume_connection(request->connection); /* which it looks at in its next turn */
    server->is_resuming = true;
    plan(server);
}

void server_answer(struct server_request *request, unsigned status, char *json)
{
    if (request->guest == NULL) {
        free(json);
    } else {
        reply_json(status, json, &request->guest->reply);
        wake(request);
    }
    free(request);
}

/* The request stays with its owner, whose answer will reach nobody. */
static void give_up(struct guest *guest)
{
    reply_text(504, "the reload takes too long; the log will tell what comes of it\n",
               &guest->reply);
    wake(guest->request);
}

static enum MHD_Result begin_reload(struct server *server, struct guest *guest,
                                    struct MHD_Connection *connection)
{
    struct server_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        return MHD_NO;
    }
    request->guest = guest;
    request->server = server;
    request->connection = connection;
    guest->request = request;
    guest->leave_ms = clock_ms() + server->events.reload_ms;
    server->n_reloads++;
    MHD_suspend_connection(connection);
    server->events.reload(server->ctx, request);
    return MHD_YES;
}

/* --- Answers --- */

/* MHD_NO ends the connection. */
static enum MHD_Result answer(struct guest *guest, struct MHD_Connection *connection,
                              struct reply *reply)
{
    guest->is_answered = true;
    return response_send(connection, reply) == 0 ? MHD_YES : MHD_NO;
}

static enum MHD_Result answer_text(struct guest *guest, struct MHD_Connection *connection,
                                   unsigned status, const char *text)
{
    struct reply reply;
    reply_text(status, text, &reply);
    return answer(guest, connection, &reply);
}

static enum MHD_Result answer_route(const struct server *server, struct guest *guest,
                                    struct MHD_Connection *connection, enum route route)
{
    const struct view *view = NULL;
    if (reply_shows(route) && (view = server->events.look(server->ctx)) == NULL) {
        return answer_text(guest, connection, 500, "out of memory\n");
    }
    struct reply reply;
    reply_make(route, view, &reply);
    return answer(guest, connection, &reply);
}

/* --- Requests --- */

static enum MHD_Result take_request(struct server *server, struct guest *guest,
                                    struct MHD_Connection *connection, const char *method,
                                    const char *path)
{
    struct route_request asked = {
        .method = method,
        .path = path,
        .host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host"),
        .is_local_socket = guest->is_local_socket,
    };
    enum route route = route_find(&asked);
    if (route != ROUTE_RELOAD) {
        return answer_route(server, guest, connection, route);
    }
    if (server->n_reloads == RELOADS_MAX) {
        return answer_text(guest, connection, 503, "too many wait for a reload already\n");
    }
    return begin_reload(server, guest, connection);
}

static enum MHD_Result take_header(struct guest *guest, struct MHD_Connection *connection)
{
    uint64_t len;
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    guest->is_heard = true;
    if (text != NULL && parse_number(text, 0, REQUEST_MAX, &len) < 0) {
        return answer_text(guest, connection, 413, "that is too long\n");
    }
    return MHD_YES;
}

static enum MHD_Result take_body(struct guest *guest, size_t *len)
{
    guest->body_len += *len;
    *len = 0;
    return guest->body_len <= REQUEST_MAX ? MHD_YES : MHD_NO;
}

/* Called once for the header, then for what there is of a body, then for all of it, and again when
 * a request that had to wait is to be answered. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_len, void **ret_context)
{
    struct guest *guest =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    (void)version;
    (void)body;
    (void)ret_context;
    if (guest == NULL) {
        return MHD_NO;
    }
    if (!guest->is_heard) {
        return take_header(guest, connection);
    }
    if (*body_len > 0) {
        return take_body(guest, body_len);
    }
    if (guest->reply.status != 0) {
        return answer(guest, connection, &guest->reply);
    }
    return take_request(cls, guest, connection, method, url);
}

/* --- Guests --- */

/* A request that waits outlives the guest who made it. */
static void forget(struct server *server, struct guest *guest)
{
    if (guest->request != NULL) {
        guest->request->guest = NULL;
        server->n_reloads--;
    }
    server->n_guests--;
    guest_free(guest);
}

/* Returns NULL for a connection that was given up as lost. */
static struct guest *welcome(struct server *server, struct MHD_Connection *connection)
{
    struct guest *guest = server->arriving;
    if (guest == NULL) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        shutdown(fd, SHUT_RDWR);
        return NULL;
    }
    server->arriving = NULL;
    list_append(&server->guests, &guest->link);
    server->n_guests++;
    return guest;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = welcome(server, connection);
    } else if (*context != NULL) {
        forget(server, *context);
        *context = NULL;
    }
}

static void on_guest(void *ctx, int fd, const struct addr *addr, bool is_local_socket)
{
    struct server *server = ctx;
    struct guest *guest = guest_new(fd, is_local_socket, server->events.request_ms);
    if (guest == NULL) {
        close(fd);
        return;
    }
    server->arriving = guest;
    /* Closes it on failure. From version 1.0 on it only notes it, for its next turn. */
    if (MHD_add_connection(server->daemon, fd, &addr->sa, addr->len) == MHD_YES &&
        server->arriving != NULL) {
        MHD_run(server->daemon);
    }
    server->arriving = guest_free(server->arriving);
}

static bool has_room(void *ctx)
{
    struct server *server = ctx;
    if (server->n_guests < SERVER_GUESTS_MAX) {
        return true;
    }
    struct guest *leaver = guest_to_leave(&server->guests);
    if (leaver == NULL || clock_ms() - leaver->came_ms < GUEST_WELCOME_MS) {
        return false;
    }
    shutdown(leaver->fd, SHUT_RDWR);
    MHD_run(server->daemon);
    return server->n_guests < SERVER_GUESTS_MAX;
}

static void on_deadline(void *ctx)
{
    struct server *server = ctx;
    uint64_t now = clock_ms();
    LIST_EACH (link, &server->guests) {
        struct guest *guest = list_item(link, struct guest, link);
        if (guest->leave_ms > now) {
            continue;
        }
        if (guest->request != NULL) {
            give_up(guest);
        } else {
            shutdown(guest->fd, SHUT_RDWR);
            guest->leave_ms = now + SHUT_AGAIN_MS;
        }
    }
    turn(server);
}

/* --- The server --- */

static struct MHD_Daemon *start_daemon(struct server *server)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0,
                            NULL, NULL, on_request, server, MHD_OPTION_NOTIFY_CONNECTION,
                            on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)SERVER_GUESTS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            MEMORY_MAX, MHD_OPTION_END);
}

/* Watches a duplicate, since libmicrohttpd closes its own. */
static struct watch *watch_daemon(struct server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int fd = info != NULL ? fcntl(info->epoll_fd, F_DUPFD_CLOEXEC, 0) : -1;
    return fd >= 0 ? watch_open(server->loop, fd, on_ready, server) : NULL;
}

struct server *server_start(uv_loop_t *loop, const struct server_events *events, void *ctx)
{
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return NULL;
    }
    list_init(&server->gates);
    list_init(&server->guests);
    server->loop = loop;
    server->events = *events;
    server->events.request_ms = events->request_ms != 0 ? events->request_ms : SERVER_REQUEST_MS;
    server->events.reload_ms = events->reload_ms != 0 ? events->reload_ms : SERVER_RELOAD_MS;
    server->ctx = ctx;
    server->deadline = deadline_new(loop, on_deadline, server);
    server->daemon = start_daemon(server);
    server->watch = server->daemon != NULL ? watch_daemon(server) : NULL;
    if (server->deadline == NULL || server->watch == NULL) {
        return server_stop(server);
    }
    watch_want(server->watch, WATCH_READ);
    return server;
}

int server_listen(struct server *server, int fd, bool is_local_socket)
{
    static const struct gate_events events = {has_room, on_guest, turn};
    struct gate *gate = gate_open(server->loop, fd, is_local_socket, &events, server);
    if (gate == NULL) {
        return -1;
    }
    list_append(&server->gates, &gate->link);
    return 0;
}

void server_unlisten(struct server *server, int fd)
{
    LIST_EACH_SAFE (link, &server->gates) {
        struct gate *gate = list_item(link, struct gate, link);
        if (watch_fd(gate->watch) == fd) {
            gate_close(gate);
        }
    }
}

struct server *server_stop(struct server *server)
{
    if (server == NULL) {
        return NULL;
    }
    LIST_EACH_SAFE (link, &server->gates) {
        gate_close(list_item(link, struct gate, link));
    }
    LIST_EACH (link, &server->guests) {
        struct guest *guest = list_item(link, struct guest, link);
        if (guest->request != NULL) {
            MHD_resume_connection(guest->request->connection); /* none may be suspended */
        }
    }
    watch_close(server->watch);
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon);
    }
    deadline_free(server->deadline);
    free(server);
    return NULL;
}

const char *server_library_version(void)
{
    return MHD_get_version();
}
