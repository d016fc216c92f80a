/* The listening sockets of all services, opened before anything else starts, so that an agent that
 * cannot listen everywhere does not start half. */
#pragma once

#include "config/config.h"
#include "net/listener.h"

#include <stddef.h>

struct doors {
    size_t n_workers;
    size_t n_listens; /* over all services */
    int *fds;         /* those of listen l for worker w at [l * n_workers + w]; -1: handed over */
    struct listener_file *files; /* those of UNIX sockets */
    size_t n_files;
};

/* How many descriptors opening them will take. */
size_t doors_needed(const struct config *config, size_t n_workers);

/* Opens all of them. Returns -1, after saying in the log which service and address it was, with
 * nothing left open. */
int doors_open(struct doors *doors, const struct config *config, size_t n_workers);

/* Copies the sockets of the listens `first` to `first + n - 1` for one worker to `ret_fds`; they
 * are the caller's from here on. */
void doors_take(struct doors *doors, size_t first, size_t n, size_t worker, int *ret_fds);

/* Removes the files of UNIX sockets, once. */
void doors_unlink(struct doors *doors);

/* Closes what was not taken, and frees. */
void doors_close(struct doors *doors);
