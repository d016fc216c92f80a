/* The two clocks. Deadlines use the monotonic one, certificates' dates the wall clock. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Milliseconds on the monotonic clock; the origin has no meaning. */
static inline uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
