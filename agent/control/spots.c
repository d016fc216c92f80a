#include "control/spots.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As many as the kernel follows. */
#define LINKS_MAX 40

/* The way to a file, part by part. */
struct way {
    char folder[PATH_MAX]; /* where we are; "" is the root */
    char rest[PATH_MAX];   /* what is still to go */
    char name[NAME_MAX + 1];
    unsigned links;
};

/* ---- the way ---- */

static int begin(struct way *way, const char *path)
{
    char here[PATH_MAX] = "";
    way->folder[0] = '\0';
    way->links = 0;
    if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL) {
        return -1;
    }
    int len = snprintf(way->rest, sizeof(way->rest), "%s/%s", here, path);
    return (size_t)len < sizeof(way->rest) ? 0 : -1;
}

/* Takes the next name off the rest. Returns false at the end of the way, or at a name that is too
 * long to be one. */
static bool next_name(struct way *way)
{
    char *from = way->rest + strspn(way->rest, "/");
    size_t len = strcspn(from, "/");
    if (len == 0 || len >= sizeof(way->name)) {
        return false;
    }
    memcpy(way->name, from, len);
    way->name[len] = '\0';
    const char *at = from + len;
    for (char *to = way->rest; (*to = *at) != '\0'; to++) {
        at++;
    }
    return true;
}

/* Goes into the folder `name`. */
static int enter(struct way *way)
{
    size_t len = strlen(way->folder);
    int more = snprintf(way->folder + len, sizeof(way->folder) - len, "/%s", way->name);
    return (size_t)more < sizeof(way->folder) - len ? 0 : -1;
}

static void go_up(struct way *way)
{
    char *slash = strrchr(way->folder, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

/* Goes where the link at `path` leads. */
static int follow(struct way *way, const char *path)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    if (len < 0 || ++way->links > LINKS_MAX) {
        return -1;
    }
    target[len] = '\0';
    int n = snprintf(rest, sizeof(rest), "%s%s", target, way->rest);
    if ((size_t)n >= sizeof(rest)) {
        return -1;
    }
    memcpy(way->rest, rest, (size_t)n + 1);
    if (target[0] == '/') {
        way->folder[0] = '\0';
    }
    return 0;
}

/* Goes to what stands under `name`. Returns false at the end of the way. */
static bool go(struct way *way)
{
    char path[PATH_MAX];
    struct stat status;
    int len = snprintf(path, sizeof(path), "%s/%s", way->folder, way->name);
    if ((size_t)len >= sizeof(path) || lstat(path, &status) < 0) {
        return false;
    }
    if (S_ISLNK(status.st_mode)) {
        return follow(way, path) == 0;
    }
    return S_ISDIR(status.st_mode) && enter(way) == 0;
}

/* ---- the spots ---- */

static int make_room(struct spots *spots)
{
    if (spots->n < spots->size) {
        return 0;
    }
    size_t size = spots->size == 0 ? 16 : 2 * spots->size;
    struct spot *grown = reallocarray(spots->spots, size, sizeof(*grown));
    if (grown == NULL) {
        return -1;
    }
    spots->spots = grown;
    spots->size = size;
    return 0;
}

static int note(struct spots *spots, const char *folder, const char *name)
{
    const char *shown = folder[0] != '\0' ? folder : "/";
    size_t len = strlen(shown) + 1, name_len = strlen(name) + 1;
    char *text = malloc(len + name_len);
    if (text == NULL || make_room(spots) < 0) {
        free(text);
        return -1;
    }
    memcpy(text, shown, len);
    memcpy(text + len, name, name_len);
    struct spot *spot = &spots->spots[spots->n++];
    spot->folder = text;
    spot->name = text + len;
    return 0;
}

int spots_add(struct spots *spots, const char *path)
{
    struct way way;
    if (begin(&way, path) < 0) {
        return 0;
    }
    bool goes_on = true;
    while (goes_on && next_name(&way)) {
        if (strcmp(way.name, "..") == 0) {
            go_up(&way);
        } else if (strcmp(way.name, ".") != 0) {
            if (note(spots, way.folder, way.name) < 0) {
                return -1;
            }
            goes_on = go(&way);
        }
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct spot *one = a, *other = b;
    int order = strcmp(one->folder, other->folder);
    return order != 0 ? order : strcmp(one->name, other->name);
}

void spots_sort(struct spots *spots)
{
    size_t kept = 0;
    if (spots->n > 0) {
        qsort(spots->spots, spots->n, sizeof(spots->spots[0]), compare);
    }
    for (size_t i = 0; i < spots->n; i++) {
        if (kept > 0 && compare(&spots->spots[kept - 1], &spots->spots[i]) == 0) {
            free(spots->spots[i].folder);
        } else {
            spots->spots[kept++] = spots->spots[i];
        }
    }
    spots->n = kept;
}

bool spots_have(const struct spots *spots, const char *folder, const char *name)
{
    struct spot key = {(char *)(uintptr_t)folder, name};
    return spots->n > 0 &&
           bsearch(&key, spots->spots, spots->n, sizeof(spots->spots[0]), compare) != NULL;
}

void spots_release(struct spots *spots)
{
    for (size_t i = 0; i < spots->n; i++) {
        free(spots->spots[i].folder);
    }
    free(spots->spots);
    *spots = (struct spots){0};
}
