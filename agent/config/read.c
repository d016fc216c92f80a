#include "config/read.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "config/path.h"
#include "config/quote.h"
#include "config/section.h"

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (4U << 20)
#define DEPTH_MAX      16

/* A file that was read, and who it is whatever its name. */
struct seen {
    dev_t device;
    ino_t inode;
    bool is_open; /* it or one of its includes is being read */
    const char *name;
    struct place place; /* where it was named; no file: on the command line */
};

struct read {
    struct config *config;
    struct draft *draft;
    struct problems *problems;
    struct seen *seen;
    size_t n_seen;
    unsigned depth;
};

/* Keeps the name of a file. NULL when memory is out. */
static const char *keep_name(struct config *config, const char *path)
{
    char **files = reallocarray(config->files, config->n_files + 1, sizeof(*files));
    if (files == NULL) {
        return NULL;
    }
    config->files = files;
    char *name = strdup(path);
    if (name != NULL) {
        files[config->n_files++] = name;
    }
    return name;
}

/* Remembers a file. Returns its index, or -1 when memory is out. */
static ssize_t remember(struct read *read, const struct stat *st, const char *name,
                        struct place place)
{
    struct seen *seen = reallocarray(read->seen, read->n_seen + 1, sizeof(*seen));
    if (seen == NULL) {
        return -1;
    }
    read->seen = seen;
    seen[read->n_seen] = (struct seen){st->st_dev, st->st_ino, true, name, place};
    return (ssize_t)read->n_seen++;
}

/* Notes a file that is named again, at `place`. */
static void refuse_again(struct read *read, const struct seen *seen, const char *path,
                         struct place place)
{
    if (seen->is_open) {
        problems_error(read->problems, place,
                       "the include loops: it leads back to %s, which is %s; take that out", path,
                       strcmp(path, seen->name) == 0 ? "being read" : seen->name);
    } else {
        problems_error(read->problems, place,
                       "%s is included twice; take one out, first included at %s:%u as %s", path,
                       seen->place.file, seen->place.line, seen->name);
    }
}

/* True, after noting it, for a file that may not be read. */
static bool is_refused(struct read *read, const struct stat *st, const char *path,
                       struct place place)
{
    if (S_ISDIR(st->st_mode) && place.file != NULL) {
        problems_error(read->problems, place, "%s is a directory; write %s/*.conf", path, path);
        return true;
    }
    for (size_t i = 0; i < read->n_seen; i++) {
        if (read->seen[i].device == st->st_dev && read->seen[i].inode == st->st_ino) {
            refuse_again(read, &read->seen[i], path, place);
            return true;
        }
    }
    return false;
}

static int read_file(struct read *read, const char *path, struct place place);

/* Reads what a pattern matches. Returns -1 when memory is out. */
static int read_matches(struct read *read, const char *pattern, const struct draft_entry *entry);

/* Reads the includes that the last file added to [agent], from entry `from` on. */
static int read_includes(struct read *read, size_t from)
{
    /* The section grows while its entries are followed. */
    const struct draft_section *agent = draft_find(read->draft, SCHEMA_AGENT);
    size_t to = agent != NULL ? agent->n_entries : 0;
    for (size_t i = from; i < to; i++) {
        struct draft_entry entry = agent->entries[i];
        const char *why;
        char quoted[QUOTE_MAX];
        if (strcmp(entry.key->name, "include") != 0) {
            continue;
        }
        AUTO_FREE char *pattern = path_pattern(entry.place.file, entry.text, &why);
        if (pattern == NULL) {
            problems_error(read->problems, entry.place, "include = %s: %s",
                           quote_text(entry.text, quoted), why);
        } else if (read_matches(read, pattern, &entry) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Reads one file into the draft, then what it includes. */
static int read_text(struct read *read, const char *name, struct place place)
{
    AUTO_FREE char *text = NULL;
    size_t len;
    const char *why;
    const struct draft_section *agent = draft_find(read->draft, SCHEMA_AGENT);
    size_t before = agent != NULL ? agent->n_entries : 0;
    if (file_read(name, FILE_BYTES_MAX, &text, &len, &why) < 0) {
        bool is_main = place.file == name;
        problems_error(read->problems, place, "cannot read %s: %s; check its name and permissions",
                       is_main ? "this file" : name, why);
        return 0;
    }
    if (section_read(name, text, len, read->draft, read->problems) < 0) {
        return -1;
    }
    return read_includes(read, before);
}

/* Reads a file, unless it was read before. `place`: where it was named. */
static int read_file(struct read *read, const char *path, struct place place)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && is_refused(read, &st, path, place)) {
        return 0;
    }
    if (read->depth >= DEPTH_MAX) {
        problems_error(read->problems, place, "includes are nested deeper than %d; flatten them",
                       DEPTH_MAX);
        return 0;
    }
    const char *name = keep_name(read->config, path);
    ssize_t index = name != NULL && exists ? remember(read, &st, name, place) : -1;
    if (name == NULL || (exists && index < 0)) {
        return -1;
    }
    if (place.file == NULL) {
        place.file = name;
    }
    read->depth++;
    int result = read_text(read, name, place);
    read->depth--;
    if (index >= 0) {
        read->seen[index].is_open = false;
    }
    return result;
}

/* For glob(3): stops at a folder that is there and cannot be read. */
static int stop_unless_missing(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

static int read_matches(struct read *read, const char *pattern, const struct draft_entry *entry)
{
    glob_t matches;
    char quoted[QUOTE_MAX];
    int result = 0;
    quote_text(entry->text, quoted);
    switch (glob(pattern, 0, stop_unless_missing, &matches)) {
    case 0:
        for (size_t i = 0; i < matches.gl_pathc && result == 0; i++) {
            result = read_file(read, matches.gl_pathv[i], entry->place);
        }
        globfree(&matches);
        return result;
    case GLOB_NOMATCH:
        if (strpbrk(entry->text, "*?[") == NULL) {
            problems_error(read->problems, entry->place,
                           "include = %s: there is no such file; check the name", quoted);
        }
        return 0;
    case GLOB_ABORTED:
        problems_error(read->problems, entry->place,
                       "include = %s: a folder in it cannot be read; check its permissions",
                       quoted);
        return 0;
    default:
        return -1;
    }
}

int read_files(const char *path, struct config *config, struct draft *draft,
               struct problems *problems)
{
    struct read read = {.config = config, .draft = draft, .problems = problems};
    int result = read_file(&read, path, (struct place){NULL, 0});
    free(read.seen);
    return result;
}
