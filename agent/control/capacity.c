#include "control/capacity.h"

#include "base/cleanup.h"
#include "base/parse.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define LINE_LEN    4096
/* The mask's size is the kernel's choice; this is the largest that any kernel is built for. */
#define CPUS_MAX 8192

static unsigned affinity_cpus(void)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    unsigned n = 1;
    if (set != NULL && sched_getaffinity(0, size, set) == 0) {
        n = (unsigned)CPU_COUNT_S(size, set);
    }
    CPU_FREE(set);
    return n > 0 ? n : 1;
}

/* Reads the first line of a small file, without its newline. */
static int read_line(const char *path, char line[static LINE_LEN])
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -1;
    }
    const char *read = fgets(line, LINE_LEN, file);
    fclose(file);
    if (read == NULL) {
        return -1;
    }
    line[strcspn(line, "\n")] = '\0';
    return 0;
}

/* The CPUs that "QUOTA PERIOD", as cpu.max has it, stands for, rounded up; UINT64_MAX for "max". */
static uint64_t quota_cpus(char *text)
{
    char *rest = NULL;
    const char *quota_text = strtok_r(text, " ", &rest);
    const char *period_text = strtok_r(NULL, " ", &rest);
    uint64_t quota, period;
    if (quota_text == NULL || period_text == NULL ||
        parse_number(quota_text, 1, UINT32_MAX, &quota) < 0 ||
        parse_number(period_text, 1, UINT32_MAX, &period) < 0) {
        return UINT64_MAX;
    }
    return (quota + period - 1) / period;
}

/* The tightest quota of our control group and those above it. */
static uint64_t cgroup_cpus(void)
{
    char group[LINE_LEN];
    if (read_line("/proc/self/cgroup", group) < 0 || strncmp(group, "0::/", 4) != 0) {
        return UINT64_MAX;
    }
    uint64_t cpus = UINT64_MAX;
    char *path = group + strlen("0::");
    for (;;) {
        char file[LINE_LEN + 64], line[LINE_LEN];
        snprintf(file, sizeof(file), CGROUP_ROOT "%s/cpu.max", path);
        uint64_t here = read_line(file, line) == 0 ? quota_cpus(line) : UINT64_MAX;
        cpus = here < cpus ? here : cpus;
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return cpus;
        }
        *slash = '\0';
    }
}

unsigned capacity_cpus(void)
{
    unsigned cpus = affinity_cpus();
    uint64_t quota = cgroup_cpus();
    return quota < cpus ? (unsigned)quota : cpus;
}

uint64_t capacity_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return UINT64_MAX;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        limit.rlim_cur = before;
    }
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit.rlim_cur;
}
