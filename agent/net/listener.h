/* Listening sockets. */
#pragma once

#include "base/addr.h"

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Who may connect to a UNIX socket. */
struct listener_access {
    uid_t user;  /* (uid_t)-1: ours */
    gid_t group; /* (gid_t)-1: ours */
    mode_t mode;
};

/* The file of a UNIX socket: which it was when it was opened. */
struct listener_file {
    struct addr addr;
    dev_t device;
    ino_t inode;
};

/* Opens `n` non-blocking listening sockets on one address: for TCP one each with SO_REUSEPORT, so
 * that the kernel spreads the callers, if nobody else has the port; for a UNIX socket one socket
 * and duplicates of it. A stale UNIX socket file is replaced, a live one is not; it appears at its
 * path with its owner and mode already right. Returns -1 with errno set and nothing left open. */
int listener_open(const struct addr *addr, const struct listener_access *access, int *ret_fds,
                  size_t n);

/* Remembers the file of a UNIX socket that was just opened. Returns -1 with errno set. */
int listener_remember(const struct addr *addr, struct listener_file *ret_file);

/* Removes the file, unless another process has put its own in that place since. */
void listener_unlink(const struct listener_file *file);
