/* Listening sockets. */
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Who may connect to a UNIX socket, and who may listen beside us. */
struct listener_access {
    uid_t user;  /* (uid_t)-1: ours */
    gid_t group; /* (gid_t)-1: ours */
    mode_t mode;
    bool is_shared; /* an agent of this user, an older one or this one, may listen there already */
    bool is_held;   /* nobody is to find it before listener_show() */
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
 * path with its owner and mode already right. Where it is shared, the kernel spreads a port's
 * callers over all who listen there, and a UNIX socket takes the place of a live one, whose
 * listener keeps the callers that it has. Returns -1 with errno set and nothing left open. */
int listener_open(const struct addr *addr, const struct listener_access *access, int *ret_fds,
                  size_t n);

/* Lets callers find the `n` sockets that were opened on this address and held: all that can fail
 * has been done before, as far as it can be. Returns -1 with errno set. */
int listener_show(const struct addr *addr, const int *fds, size_t n);

/* Removes what was opened there and held: whoever listens there stays undisturbed. The sockets are
 * still to be closed. */
void listener_discard(const struct addr *addr);

/* Remembers the file of a UNIX socket that was just opened. Returns -1 with errno set. */
int listener_remember(const struct addr *addr, struct listener_file *ret_file);

/* Removes the file, unless another process has put its own in that place since. */
void listener_unlink(const struct listener_file *file);

/* Makes `n` duplicates of a listening socket, which stays with whoever holds it. Returns -1 with
 * errno set and nothing left open. */
int listener_duplicate(int fd, int *ret_fds, size_t n);

/* To be called before the first of our `n_own` sockets on a shared TCP port is closed, and before
 * their last callers are accepted: from now on new ones are led to another process, if one shares
 * the port. Without that, whoever comes between the last accept() and close() is reset. */
void listener_yield(int fd, unsigned n_own);

/* Ends what a process that shared the port has begun with listener_yield(), which outlives it. To
 * be called now and then by who has come after it and has more sockets: one of them may get all
 * callers until then. */
void listener_gather(int fd);
