/* Folders that the kernel watches for us: what happens to the names in them, and to themselves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <uv.h>

struct folders;

/* A folder as it was found: another one may stand at the same path later. */
struct folders_place {
    const char *path;
    dev_t device;
    ino_t inode;
};

/* Something has happened to `name` in the folder; NULL: to the folder itself. */
typedef void folders_event(void *ctx, const char *path, const char *name);

/* Watches nothing yet. Returns NULL when memory is out. */
struct folders *folders_new(uv_loop_t *loop, folders_event *event, void *ctx);

/* From now on watches these, which are in the order of their paths, each once; those that were
 * watched before and are still the same stay without a gap. Says once in the log when the kernel's
 * limits are reached. Returns true when one was added: what happened to it before is not known. */
bool folders_watch(struct folders *folders, const struct folders_place *places, size_t n);

/* No event comes any more. The loop must turn once more for all memory to be freed. Accepts NULL;
 * returns NULL. */
struct folders *folders_free(struct folders *folders);
