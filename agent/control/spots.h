/* Where a change of what a path leads to would show: each part of the way, a folder, a link or the
 * file itself, as a name in its folder, up to the first that is not there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct spot {
    char *folder; /* absolute, and free of links; owned, together with: */
    const char *name;
};

struct spots {
    struct spot *spots;
    size_t n, size;
};

/* Adds those of a file. Touches the file system, so not for the loop's thread. Returns -1 when
 * memory is out; what was added so far stays. */
int spots_add(struct spots *spots, const char *path);

/* Puts them in order, by folder and then by name, and drops those that are there twice. */
void spots_sort(struct spots *spots);

/* True when that name in that folder is one of them. They must be in order. */
bool spots_have(const struct spots *spots, const char *folder, const char *name);

/* Frees them; leaves none. */
void spots_release(struct spots *spots);
