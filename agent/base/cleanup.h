/* Scope-bound release: a variable marked with one of these is released when it goes out of scope,
 * on every way out. To hand ownership on, take the value with `cleanup_steal`. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define AUTO(release) __attribute__((cleanup(release)))
#define AUTO_FREE     AUTO(cleanup_free)
#define AUTO_CLOSE    AUTO(cleanup_close)

/* Yields the pointer and leaves NULL behind, so that the scope's end releases nothing. */
#define cleanup_steal(pointer)                                                                     \
    ({                                                                                             \
        __auto_type cleanup_taken = (pointer);                                                     \
        (pointer) = NULL;                                                                          \
        cleanup_taken;                                                                             \
    })

/* For AUTO_FREE: frees the pointer that `where` points to. */
static inline void cleanup_free(void *where)
{
    free(*(void **)where);
}

/* For AUTO_CLOSE: closes the descriptor unless it is negative. */
static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

/* Yields the descriptor and leaves -1 behind. */
static inline int cleanup_steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}
