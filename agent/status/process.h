/* What this process takes of the machine. */
#pragma once

#include <stdint.h>

#define PROCESS_UNKNOWN UINT64_C(0) /* where there is no /proc */

struct process {
    uint64_t cpu_us;           /* user and system time of all threads since the start */
    uint64_t resident_bytes;   /* or PROCESS_UNKNOWN */
    uint64_t open_descriptors; /* or PROCESS_UNKNOWN */
    uint64_t max_descriptors;  /* their limit */
};

void process_measure(struct process *ret_process);
