#include "control/doors.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t doors_needed(const struct config *config, size_t n_workers)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_services; i++) {
        n += config->services[i].n_listens;
    }
    return n * n_workers;
}

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

static void log_failure(const struct config_service *service, const struct addr *addr, int error)
{
    char text[ADDR_TEXT_MAX];
    struct log_line line;
    log_begin(&line, LEVEL_ERROR, "cannot listen");
    log_text(&line, "service", service->name);
    log_text(&line, "listen", addr_format(addr, text));
    log_text(&line, "detail", advice(error));
    log_end(&line);
}

static int open_one(struct doors *doors, const struct config_service *service,
                    const struct addr *addr)
{
    struct listener_access access = {
        .user = service->socket_user,
        .group = service->socket_group,
        .mode = service->socket_mode,
    };
    int *fds = &doors->fds[doors->n_listens * doors->n_workers];
    if (listener_open(addr, &access, fds, doors->n_workers) < 0) {
        log_failure(service, addr, errno);
        return -1;
    }
    doors->n_listens++;
    if (addr->sa.sa_family == AF_UNIX &&
        listener_remember(addr, &doors->files[doors->n_files]) == 0) {
        doors->n_files++;
    }
    return 0;
}

static int open_all(struct doors *doors, const struct config *config)
{
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        for (size_t k = 0; k < service->n_listens; k++) {
            if (open_one(doors, service, &service->listens[k].addr) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int doors_open(struct doors *doors, const struct config *config, size_t n_workers)
{
    size_t n = doors_needed(config, n_workers);
    *doors = (struct doors){
        .n_workers = n_workers,
        .fds = calloc(n + 1, sizeof(*doors->fds)),
        .files = calloc(n / n_workers + 1, sizeof(*doors->files)),
    };
    if (doors->fds == NULL || doors->files == NULL) {
        log_message(LEVEL_ERROR, "out of memory");
    } else if (open_all(doors, config) == 0) {
        return 0;
    }
    doors_unlink(doors);
    doors_close(doors);
    return -1;
}

void doors_take(struct doors *doors, size_t first, size_t n, size_t worker, int *ret_fds)
{
    for (size_t i = 0; i < n; i++) {
        int *fd = &doors->fds[(first + i) * doors->n_workers + worker];
        ret_fds[i] = cleanup_steal_fd(fd);
    }
}

void doors_unlink(struct doors *doors)
{
    while (doors->n_files > 0) {
        listener_unlink(&doors->files[--doors->n_files]);
    }
}

void doors_close(struct doors *doors)
{
    size_t n = doors->fds != NULL ? doors->n_listens * doors->n_workers : 0;
    for (size_t i = 0; i < n; i++) {
        cleanup_close(&doors->fds[i]);
    }
    free(doors->fds);
    free(doors->files);
    *doors = (struct doors){0};
}
