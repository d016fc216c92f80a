#include "status/process.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t measure_cpu_us(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static uint64_t measure_resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return PROCESS_UNKNOWN;
    }
    unsigned long pages = 0;
    int n = fscanf(file, "%*u %lu", &pages); /* NOLINT(cert-err34-c): the kernel's own number */
    fclose(file);
    return n == 1 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : PROCESS_UNKNOWN;
}

/* With ten thousands of them one by one, which takes milliseconds. */
static uint64_t count_entries(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return PROCESS_UNKNOWN;
    }
    uint64_t n = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    closedir(directory);
    return n > 0 ? n - 1 : PROCESS_UNKNOWN; /* without the directory's own */
}

/* Linux 6.2 and newer tell the number as the directory's size. */
static uint64_t count_descriptors(void)
{
    static const char path[] = "/proc/self/fd";
    struct stat about;
    bool is_told = stat(path, &about) == 0 && about.st_size > 0;
    return is_told ? (uint64_t)about.st_size : count_entries(path);
}

void process_measure(struct process *ret_process)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    *ret_process = (struct process){
        .cpu_us = measure_cpu_us(),
        .resident_bytes = measure_resident(),
        .open_descriptors = count_descriptors(),
        .max_descriptors = limit.rlim_cur,
    };
}
