#include "control/doors.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "control/publish.h"
#include "net/activation.h"
#include "net/listener.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Sockets of one name that are taken. */
#define ACTIVATED_MAX 64

struct door {
    uint64_t id;
    size_t service; /* its id */
    struct addr addr;
    int lent; /* the descriptor that systemd opened, which stays open; -1: ours */
    struct listener_access access;
    struct listener_file file; /* of a UNIX socket of ours */
    bool has_file;
    int *fds;        /* one for each worker, until callers come in; NULL: they do */
    bool is_ordered; /* the sockets are an order's */
};

struct doors {
    size_t n_workers;
    bool is_shared;
    struct door *list; /* sorted by address */
    size_t n;
    uint64_t next_id;
};

struct doors_plan {
    const struct doors *doors;
    const struct publish *publish;
    struct door *list; /* sorted by address */
    size_t n, size;
    uint64_t next_id;
};

/* ---- which is which ---- */

static int by_addr(const void *a, const void *b)
{
    const struct door *left = a, *right = b;
    if (left->lent != right->lent) {
        return left->lent < right->lent ? -1 : 1;
    }
    if (left->addr.len != right->addr.len) {
        return left->addr.len < right->addr.len ? -1 : 1;
    }
    return memcmp(&left->addr.sa, &right->addr.sa, left->addr.len);
}

static struct door *find(struct door *list, size_t n, const struct door *door)
{
    return n > 0 ? bsearch(door, list, n, sizeof(*door), by_addr) : NULL;
}

static bool is_unix(const struct door *door)
{
    return door->addr.sa.sa_family == AF_UNIX;
}

bool doors_are_at(const struct doors *doors, const struct addr *addr)
{
    for (size_t i = 0; i < doors->n; i++) {
        if (addr_overlaps(&doors->list[i].addr, addr)) {
            return true;
        }
    }
    return false;
}

/* True when callers can still find the file of a UNIX socket, with the permissions wanted. */
static bool is_as_wanted(const struct door *door, const struct door *wanted)
{
    if (door->lent >= 0 || !is_unix(door)) {
        return true;
    }
    const struct listener_access *a = &door->access, *b = &wanted->access;
    struct listener_file now;
    return a->user == b->user && a->group == b->group && a->mode == b->mode && door->has_file &&
           listener_remember(&door->addr, &now) == 0 && now.device == door->file.device &&
           now.inode == door->file.inode;
}

size_t doors_needed(const struct config *config, size_t n_workers)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_services; i++) {
        n += config->services[i].n_listens;
    }
    return n * n_workers;
}

/* ---- opening ---- */

/* What an operator can do about it. */
static const char *advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another program listens there: stop it, or choose another `listen`";
    case EACCES:
    case EPERM:
        return "not permitted: choose a port above 1023 or a directory that the agent may write to";
    case EADDRNOTAVAIL:
        return "this host has no such address: check `listen` and the host's interfaces";
    case EMFILE:
    case ENFILE:
        return "out of descriptors: raise the limit (LimitNOFILE= in systemd)";
    case EEXIST:
        return "what stands there is no socket: remove it, or choose another `listen`";
    case ENOENT:
        return "the directory does not exist: create it";
    default:
        return strerror(error);
    }
}

static void note_failure(const struct config_service *service, const struct config_listen *listen,
                         const char *detail, struct problems *problems)
{
    char text[CONFIG_LISTEN_TEXT_MAX];
    problems_error(problems, listen->place, "the service \"%s\" cannot listen at %s: %s",
                   service->name, config_listen_format(listen, text), detail);
}

static int open_door(struct door *door, size_t n_workers)
{
    door->fds = calloc(n_workers, sizeof(*door->fds));
    if (door->fds == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int rc = door->lent >= 0 ? listener_duplicate(door->lent, door->fds, n_workers)
                             : listener_open(&door->addr, &door->access, door->fds, n_workers);
    if (rc < 0) {
        int error = errno;
        free(cleanup_steal(door->fds));
        errno = error;
    }
    return rc;
}

static void close_door(struct door *door, size_t n_workers)
{
    for (size_t i = 0; door->fds != NULL && !door->is_ordered && i < n_workers; i++) {
        cleanup_close(&door->fds[i]);
    }
    if (door->fds != NULL && door->lent < 0) {
        listener_discard(&door->addr);
    }
    free(cleanup_steal(door->fds));
}

/* Adds a door to the plan: the one that is there, or a new one. */
static int add(struct doors_plan *plan, struct door *wanted, const char **ret_why)
{
    const struct doors *doors = plan->doors;
    const struct door *there = find(doors->list, doors->n, wanted);
    if (plan->n == plan->size) {
        size_t size = plan->size == 0 ? 64 : 2 * plan->size;
        struct door *grown = reallocarray(plan->list, size, sizeof(*grown));
        if (grown == NULL) {
            *ret_why = advice(ENOMEM);
            return -1;
        }
        plan->list = grown;
        plan->size = size;
    }
    if (there != NULL && is_as_wanted(there, wanted)) {
        size_t service = wanted->service;
        *wanted = *there;
        wanted->service = service;
    } else {
        wanted->id = plan->next_id++;
        wanted->access.is_shared = doors->is_shared || doors_are_at(doors, &wanted->addr) ||
                                   publish_is_at(plan->publish, &wanted->addr);
        wanted->access.is_held = true;
        if (open_door(wanted, doors->n_workers) < 0) {
            *ret_why = advice(errno);
            return -1;
        }
    }
    plan->list[plan->n++] = *wanted;
    return 0;
}

static int add_activated(struct doors_plan *plan, const struct config_service *service,
                         const struct config_listen *listen, size_t id, const char **ret_why)
{
    int fds[ACTIVATED_MAX];
    size_t n = activation_find(listen->systemd, fds, ACTIVATED_MAX);
    if (n == 0) {
        *ret_why = "systemd has handed over no socket of that name: set FileDescriptorName= in the "
                   "socket unit, and start the agent anew";
        return -1;
    }
    if (n > ACTIVATED_MAX) {
        *ret_why = "systemd has handed over more than 64 sockets of that name: give them others";
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        struct door door = {.service = id, .lent = fds[i]};
        if (activation_inspect(fds[i], &door.addr, ret_why) < 0) {
            return -1;
        }
        if (!service->expose && !addr_is_loopback(&door.addr)) {
            *ret_why = "other hosts can reach it, in plaintext: use 127.0.0.1 in the socket unit, "
                       "or say expose = yes";
            return -1;
        }
        if (add(plan, &door, ret_why) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_own(struct doors_plan *plan, const struct config_service *service,
                   const struct config_listen *listen, size_t id, const char **ret_why)
{
    struct door door = {
        .service = id,
        .addr = listen->addr,
        .lent = -1,
        .access = {.user = service->socket_user,
                   .group = service->socket_group,
                   .mode = service->socket_mode},
    };
    return add(plan, &door, ret_why);
}

/* Notes everything that cannot be opened, not only the first. */
static int add_all(struct doors_plan *plan, const struct snapshot *next, struct problems *problems)
{
    size_t errors = problems_errors(problems);
    for (size_t i = 0; i < next->config->n_services; i++) {
        const struct config_service *service = &next->config->services[i];
        size_t id = next->services[i]->id;
        for (size_t k = 0; k < service->n_listens; k++) {
            const struct config_listen *listen = &service->listens[k];
            const char *why;
            int rc = listen->systemd != NULL ? add_activated(plan, service, listen, id, &why)
                                             : add_own(plan, service, listen, id, &why);
            if (rc < 0) {
                note_failure(service, listen, why, problems);
            }
        }
    }
    return problems_errors(problems) > errors ? -1 : 0;
}

struct doors_plan *doors_plan(const struct doors *doors, const struct publish *publish,
                              const struct snapshot *next, struct problems *problems)
{
    struct doors_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL) {
        problems_error(problems, (struct place){next->config->files[0], 0}, "out of memory");
        return NULL;
    }
    plan->doors = doors;
    plan->publish = publish;
    plan->next_id = doors->next_id;
    if (add_all(plan, next, problems) < 0) {
        return doors_plan_free(plan);
    }
    if (plan->n > 0) {
        qsort(plan->list, plan->n, sizeof(*plan->list), by_addr);
    }
    return plan;
}

struct doors_plan *doors_plan_free(struct doors_plan *plan)
{
    if (plan != NULL) {
        for (size_t i = 0; i < plan->n; i++) {
            close_door(&plan->list[i], plan->doors->n_workers);
        }
        free(plan->list);
        free(plan);
    }
    return NULL;
}

/* ---- carrying out ---- */

static struct door *find_planned(const struct doors_plan *plan, const struct door *door)
{
    struct door *planned = find(plan->list, plan->n, door);
    return planned != NULL && planned->id == door->id ? planned : NULL;
}

static void show(struct door *door, size_t n_workers)
{
    char text[ADDR_TEXT_MAX];
    if (listener_show(&door->addr, door->fds, n_workers) < 0) {
        log_message(LEVEL_ERROR, "cannot listen at %s: %m", addr_format(&door->addr, text));
    }
    door->has_file = is_unix(door) && listener_remember(&door->addr, &door->file) == 0;
}

void doors_show(struct doors_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->list[i].fds != NULL && plan->list[i].lent < 0) {
            show(&plan->list[i], plan->doors->n_workers);
        }
    }
}

static enum change_queue queue_of(const struct door *door)
{
    if (door->lent >= 0) {
        return CHANGE_QUEUE_LENT;
    }
    return is_unix(door) ? CHANGE_QUEUE_OURS : CHANGE_QUEUE_SHARED;
}

void doors_order(struct doors_plan *plan, struct order *order)
{
    const struct doors *doors = plan->doors;
    for (size_t i = 0; i < plan->n; i++) {
        struct door *door = &plan->list[i];
        if (door->fds != NULL) {
            door->is_ordered = true;
            order_open(order, door->service, door->id, door->fds, queue_of(door));
        }
    }
    for (size_t i = 0; i < doors->n; i++) {
        const struct door *door = &doors->list[i], *planned = find_planned(plan, door);
        if (planned == NULL) {
            order_close(order, door->id);
        } else if (planned->service != door->service) {
            order_move(order, planned->service, door->id);
        }
    }
}

void doors_commit(struct doors *doors, struct doors_plan *plan)
{
    for (size_t i = 0; i < doors->n; i++) {
        const struct door *door = &doors->list[i];
        if (door->has_file && find_planned(plan, door) == NULL) {
            listener_unlink(&door->file);
        }
    }
    for (size_t i = 0; i < plan->n; i++) {
        free(cleanup_steal(plan->list[i].fds));
    }
    free(doors->list);
    doors->list = plan->list;
    doors->n = plan->n;
    doors->next_id = plan->next_id;
    free(plan);
}

/* ---- life ---- */

struct doors *doors_new(size_t n_workers, bool is_shared)
{
    struct doors *doors = calloc(1, sizeof(*doors));
    if (doors != NULL) {
        doors->n_workers = n_workers;
        doors->is_shared = is_shared;
    }
    return doors;
}

void doors_unlink(struct doors *doors)
{
    for (size_t i = 0; i < doors->n; i++) {
        if (doors->list[i].has_file) {
            doors->list[i].has_file = false;
            listener_unlink(&doors->list[i].file);
        }
    }
}

struct doors *doors_free(struct doors *doors)
{
    if (doors != NULL) {
        doors_unlink(doors);
        free(doors->list);
        free(doors);
    }
    return NULL;
}
