#include "control/folders.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

struct folder {
    uv_fs_event_t handle;
    struct folders *folders;
    char *path;
    dev_t device;
    ino_t inode;
    bool is_lost; /* it was removed, or moved away: what stands there now is another one */
};

struct folders {
    uv_fs_event_t first; /* see folders_new() */
    uv_loop_t *loop;
    folders_event *event;
    void *ctx;
    struct folder **watched; /* in the order of their paths */
    size_t n;
    bool has_warned;
};

static void on_closed(uv_handle_t *handle)
{
    struct folder *folder = handle->data;
    free(folder->path);
    free(folder);
}

static void forget(struct folder *folder)
{
    folder->folders = NULL;
    uv_close((uv_handle_t *)&folder->handle, on_closed);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct folder *folder = handle->data;
    const char *slash = strrchr(folder->path, '/');
    /* libuv gives an event of the folder itself the folder's own name. */
    bool is_own = status < 0 || name == NULL || strcmp(name, slash != NULL ? slash + 1 : "") == 0;
    folder->is_lost = folder->is_lost || (is_own && (status < 0 || events & UV_RENAME));
    folder->folders->event(folder->folders->ctx, folder->path, is_own ? NULL : name);
}

/* A folder that vanished meanwhile, or that we may not read, is left to who looks at the files. */
static void note_failure(struct folders *folders, int error)
{
    bool is_limit = error == UV_ENOSPC || error == UV_EMFILE || error == UV_ENFILE;
    if (is_limit && !folders->has_warned) {
        folders->has_warned = true;
        log_message(LEVEL_WARNING,
                    "the kernel watches no more folders for us, so that changed files are noticed "
                    "later; raise fs.inotify.max_user_watches or max_user_instances");
    }
}

/* NULL when it cannot be watched. */
static struct folder *watch(struct folders *folders, const struct folders_place *place)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    char *path = strdup(place->path);
    if (folder == NULL || path == NULL) {
        free(folder);
        free(path);
        return NULL;
    }
    folder->folders = folders;
    folder->path = path;
    folder->device = place->device;
    folder->inode = place->inode;
    uv_fs_event_init(folders->loop, &folder->handle);
    folder->handle.data = folder;
    int error = uv_fs_event_start(&folder->handle, on_event, path, 0);
    if (error < 0) {
        note_failure(folders, error);
        forget(folder);
        return NULL;
    }
    return folder;
}

static void on_nothing(uv_fs_event_t *handle, const char *name, int events, int status)
{
    (void)handle, (void)name, (void)events, (void)status;
}

static bool is_at(const struct folder *folder, const struct folders_place *place)
{
    return !folder->is_lost && strcmp(folder->path, place->path) == 0 &&
           folder->device == place->device && folder->inode == place->inode;
}

struct folders *folders_new(uv_loop_t *loop, folders_event *event, void *ctx)
{
    struct folders *folders = calloc(1, sizeof(*folders));
    if (folders == NULL) {
        return NULL;
    }
    folders->loop = loop;
    folders->event = event;
    folders->ctx = ctx;
    /* libuv asks the kernel for its descriptor with the first folder: now, while all others are
     * being opened, and not when there may be none left. */
    uv_fs_event_init(loop, &folders->first);
    folders->first.data = folders;
    (void)uv_fs_event_start(&folders->first, on_nothing, "/", 0);
    return folders;
}

/* Forgets those from `*at` on that come before `path`, or all when that is NULL. */
static void forget_before(struct folders *folders, size_t *at, const char *path)
{
    while (*at < folders->n && (path == NULL || strcmp(folders->watched[*at]->path, path) < 0)) {
        forget(folders->watched[(*at)++]);
    }
}

bool folders_watch(struct folders *folders, const struct folders_place *places, size_t n)
{
    struct folder **kept = calloc(n + 1, sizeof(struct folder *));
    size_t at = 0, n_kept = 0;
    bool has_added = false;
    if (kept == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        forget_before(folders, &at, places[i].path);
        struct folder *folder = NULL;
        if (at < folders->n && is_at(folders->watched[at], &places[i])) {
            folder = folders->watched[at++];
        } else {
            folder = watch(folders, &places[i]);
            has_added = has_added || folder != NULL;
        }
        if (folder != NULL) {
            kept[n_kept++] = folder;
        }
    }
    forget_before(folders, &at, NULL);
    free(folders->watched);
    folders->watched = kept;
    folders->n = n_kept;
    return has_added;
}

static void on_all_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct folders *folders_free(struct folders *folders)
{
    if (folders != NULL) {
        size_t at = 0;
        forget_before(folders, &at, NULL);
        free(folders->watched);
        uv_close((uv_handle_t *)&folders->first, on_all_closed);
    }
    return NULL;
}
