/* What `check` and `probe` begin with. */
#pragma once

#include "control/snapshot.h"

/* Reads the configuration and all that it names, and prints every problem to stderr. `name` is that
 * of the subcommand. Returns NULL with the exit status to end with; else the caller frees it. */
struct snapshot *load_snapshot(const char *name, const char *file, int *ret_status);
