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

/* The earlier of two points in time, or the shorter of two spans. */
static inline uint64_t clock_sooner(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}
