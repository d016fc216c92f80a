/* The control plane: one thread, the process's main one, that owns all that changes slowly. */
#pragma once

#include "control/snapshot.h"

#include <stdbool.h>

struct control_options {
    const char *file; /* the configuration, to be read again on a reload; outlives the run */
    bool overlaps;    /* an older agent may still serve the same addresses: share them */
};

/* Runs the agent until it is told to stop: starts the workers and the resolver, opens the listening
 * sockets, notifies systemd, reloads when it is asked to, and on SIGTERM or SIGINT drains. Returns
 * the exit status: 0 drained, 1 cut, or could not start (logged). Owns the snapshot. */
int control_run(struct snapshot *snapshot, const struct control_options *options);

/* libuv's version at run time. */
const char *control_library_version(void);
