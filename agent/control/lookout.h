/* The files that are watched, what was seen of each, and whether that is to be told. For one thread
 * at a time, whichever that is. */
#pragma once

#include "control/filewatch.h"
#include "control/folders.h"
#include "control/spots.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lookout_file {
    char *path;
    struct print used; /* or tried last */

    struct print seen; /* by the last look */
    uint64_t since_ms; /* when it was first seen so; clock_ms() */
    uint64_t looked_ms;
    bool has_writer; /* somebody had it open for writing */

    struct print told; /* what the owner was told of */
    bool is_told;
};

struct lookout {
    struct spots spots;           /* where the last look found that changes would show */
    struct folders_place *places; /* their folders */
    size_t n_places;
    size_t n;
    struct lookout_file files[];
};

/* Copies the files. Returns NULL when memory is out. */
struct lookout *lookout_new(const struct filewatch_file *files, size_t n);

struct lookout *lookout_free(struct lookout *lookout); /* accepts NULL; returns NULL */

/* Looks at all files; reads them, and so may take long. Returns -1 when memory is out. */
int lookout_look(struct lookout *lookout);

/* True when something is to be told after the last look, and only once. `*ret_again_ms` is when
 * another look will tell more; UINT64_MAX: no file is settling. */
bool lookout_judge(struct lookout *lookout, uint64_t *ret_again_ms);
