/* The control plane: one thread, the process's main one, that owns all that changes slowly. */
#pragma once

#include "control/snapshot.h"

/* Runs the agent until it is told to stop: opens the listening sockets, starts the workers and the
 * resolver, notifies systemd, and on SIGTERM or SIGINT drains. Returns the exit status: 0 drained,
 * 1 cut, or could not start (logged). The snapshot stays the caller's. */
int control_run(struct snapshot *snapshot);

/* libuv's version at run time. */
const char *control_library_version(void);
