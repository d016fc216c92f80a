#include "control/publish.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "control/doors.h"
#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET_MODE 0660

/* A place where the endpoint is served. */
struct window {
    struct addr addr;
    struct listener_file file; /* of a UNIX socket */
    bool has_file;
    int fd;      /* the server's, or not served yet: see is_new */
    bool is_new; /* opened for a plan: still ours */
};

struct publish {
    struct server *server;
    bool is_shared;
    struct window *windows;
    size_t n;
};

struct publish_plan {
    struct publish *publish;
    const struct doors *doors;
    struct window *windows;
    size_t n;
};

/* ---- opening ---- */

/* Returns the index of the window at that address; `n`: there is none. */
static size_t find(const struct window *windows, size_t n, const struct addr *addr)
{
    size_t i = 0;
    while (i < n && !addr_equal(&windows[i].addr, addr)) {
        i++;
    }
    return i;
}

bool publish_is_at(const struct publish *publish, const struct addr *addr)
{
    for (size_t i = 0; i < publish->n; i++) {
        if (addr_overlaps(&publish->windows[i].addr, addr)) {
            return true;
        }
    }
    return false;
}

static bool is_unix(const struct addr *addr)
{
    return addr->sa.sa_family == AF_UNIX;
}

static const char *advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another program listens there: stop it, or choose another `status`";
    case EACCES:
    case EPERM:
    case EROFS:
        return "not permitted: choose a directory that the agent may write to, or status = off";
    case ENOENT:
        return "the directory does not exist: create it, or say status = off";
    case EEXIST:
        return "what stands there is no socket: remove it, or choose another `status`";
    default:
        return strerror(error);
    }
}

static int open_window(const struct publish_plan *plan, const struct addr *addr,
                       struct window *ret_window)
{
    const struct listener_access access = {
        .user = (uid_t)-1,
        .group = (gid_t)-1,
        .mode = SOCKET_MODE,
        .is_shared = plan->publish->is_shared || publish_is_at(plan->publish, addr) ||
                     doors_are_at(plan->doors, addr),
        .is_held = true,
    };
    *ret_window = (struct window){.addr = *addr, .is_new = true};
    return listener_open(addr, &access, &ret_window->fd, 1);
}

/* True when callers can still find it. */
static bool is_in_place(const struct window *window)
{
    struct listener_file now;
    return !is_unix(&window->addr) ||
           (window->has_file && listener_remember(&window->addr, &now) == 0 &&
            now.device == window->file.device && now.inode == window->file.inode);
}

static void add(struct publish_plan *plan, const struct config_status *status,
                struct problems *problems)
{
    const struct publish *publish = plan->publish;
    size_t at = find(publish->windows, publish->n, &status->addr);
    struct window *window = &plan->windows[plan->n];
    char text[ADDR_TEXT_MAX];
    if (at < publish->n && is_in_place(&publish->windows[at])) {
        *window = publish->windows[at];
    } else if (open_window(plan, &status->addr, window) < 0) {
        (status->is_standard ? problems_warning
                             : problems_error)(problems, status->place,
                                               "the status endpoint cannot listen at %s: %s",
                                               addr_format(&status->addr, text), advice(errno));
        return;
    }
    plan->n++;
}

struct publish_plan *publish_plan(struct publish *publish, const struct doors *doors,
                                  const struct config *config, struct problems *problems)
{
    const struct config_agent *agent = &config->agent;
    size_t errors = problems_errors(problems);
    struct publish_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL ||
        (plan->windows = calloc(agent->n_status + 1, sizeof(*plan->windows))) == NULL) {
        free(plan);
        problems_error(problems, (struct place){config->files[0], 0}, "out of memory");
        return NULL;
    }
    plan->publish = publish;
    plan->doors = doors;
    for (size_t i = 0; i < agent->n_status; i++) {
        if (agent->status[i].addr.len > 0) {
            add(plan, &agent->status[i], problems);
        }
    }
    return problems_errors(problems) > errors ? publish_plan_free(plan) : plan;
}

static void close_file(const struct window *window)
{
    if (window->has_file) {
        listener_unlink(&window->file);
    }
}

struct publish_plan *publish_plan_free(struct publish_plan *plan)
{
    if (plan == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->windows[i].is_new) {
            listener_discard(&plan->windows[i].addr);
            cleanup_close(&plan->windows[i].fd);
        }
    }
    free(plan->windows);
    free(plan);
    return NULL;
}

/* ---- serving ---- */

static void serve(struct publish *publish, struct window *window)
{
    char text[ADDR_TEXT_MAX];
    window->is_new = false;
    if (listener_show(&window->addr, &window->fd, 1) < 0) {
        log_message(LEVEL_ERROR, "the status endpoint cannot listen at %s: %m",
                    addr_format(&window->addr, text));
    }
    window->has_file =
        is_unix(&window->addr) && listener_remember(&window->addr, &window->file) == 0;
    if (server_listen(publish->server, window->fd, is_unix(&window->addr)) < 0) {
        log_message(LEVEL_ERROR, "out of memory: the status endpoint is not served");
        window->fd = -1;
    }
}

void publish_commit(struct publish *publish, struct publish_plan *plan)
{
    for (size_t i = 0; i < publish->n; i++) {
        const struct window *old = &publish->windows[i];
        size_t at = find(plan->windows, plan->n, &old->addr);
        if (at == plan->n || plan->windows[at].is_new) {
            close_file(old);
            server_unlisten(publish->server, old->fd);
        }
    }
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->windows[i].is_new) {
            serve(publish, &plan->windows[i]);
        }
    }
    free(publish->windows);
    publish->windows = plan->windows;
    publish->n = plan->n;
    free(plan);
}

/* ---- life ---- */

struct publish *publish_start(uv_loop_t *loop, bool is_shared, const struct server_events *events,
                              void *ctx)
{
    struct publish *publish = calloc(1, sizeof(*publish));
    if (publish == NULL) {
        return NULL;
    }
    publish->is_shared = is_shared;
    publish->server = server_start(loop, events, ctx);
    if (publish->server == NULL) {
        free(publish);
        return NULL;
    }
    return publish;
}

struct publish *publish_stop(struct publish *publish)
{
    if (publish != NULL) {
        for (size_t i = 0; i < publish->n; i++) {
            close_file(&publish->windows[i]);
        }
        server_stop(publish->server);
        free(publish->windows);
        free(publish);
    }
    return NULL;
}
