/* Listening sockets. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/addr.h"

/* Who may connect to a UNIX socket. */
struct listener_access {
    uid_t user;  /* (uid_t)-1: ours */
    gid_t group; /* (gid_t)-1: ours */
    mode_t mode;
};

/* Opens `n` non-blocking listening sockets on one address: for TCP one each with SO_REUSEPORT, so
 * that the kernel spreads the callers; for a UNIX socket one socket and duplicates of it. A stale
 * UNIX socket file is replaced, a live one is not; it appears at its path with its owner and mode
 * already right. Returns -1 with errno set and nothing left open. */
int listener_open(const struct addr *addr, const struct listener_access *access, int *ret_fds,
                  size_t n);

/* Removes the file of a UNIX socket that `fd` listens on, if it is still the same one. Other sockets
 * are left alone. */
void listener_unlink(int fd);
