/* Watches files whose content is in use: sees that it has changed, however that was done (replaced
 * by rename, rewritten in place, a link led elsewhere, restored after removal), and that the writer
 * is done with it. The kernel tells of the folders in which the files and the links to them lie;
 * what it does not tell of (NFS, bind mounts, a limit that is exhausted) a slow look at every
 * content finds. Files are read on the threads of libuv's pool. */
#pragma once

#include "certs/print.h"

#include <stddef.h>

struct uv_loop_s;
struct filewatch;

/* At least one file has settled with a content that is not the one in use. What belongs together is
 * waited for: a key that is written a moment after its certificate. Not called twice for the same
 * content until filewatch_set() is called again. */
typedef void filewatch_changed(void *ctx);

/* A file, and what is in use of it, or was tried last: its print from before it was loaded. */
struct filewatch_file {
    const char *path;
    struct print print;
};

/* Watches nothing yet. Returns NULL when memory is out. */
struct filewatch *filewatch_start(struct uv_loop_s *loop, filewatch_changed *changed, void *ctx);

/* From now on watches these, which are copied, and forgets what was watched before. A file that has
 * gone counts as changed when it is not back after five seconds. Returns -1 when memory is out;
 * then nothing changes. */
int filewatch_set(struct filewatch *filewatch, const struct filewatch_file *files, size_t n);

/* `changed` is not called any more. The loop must turn until all handles are closed for all memory
 * to be freed. Accepts NULL; returns NULL. */
struct filewatch *filewatch_stop(struct filewatch *filewatch);
