/* What this process may use: processors and descriptors. */
#pragma once

#include <stdint.h>

/* How many CPUs the process may use: its affinity mask, and the CPU quota of its control group
 * (cgroup v2), rounded up. At least 1. */
unsigned capacity_cpus(void);

/* Raises the limit of open descriptors as far as we may. Returns the limit that now holds. */
uint64_t capacity_raise_descriptors(void);
