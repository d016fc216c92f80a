#include "control/lookout.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* For how long a file has to stay as it is. */
#define SETTLED_MS 1000
#define GONE_MS    5000  /* it may be about to be written anew */
#define WRITER_MS  30000 /* longer was forgotten, or is said by a file system that cannot tell */

/* What has settled waits so long for what is still settling. */
#define TOGETHER_MS 2000

/* That a writer has closed a file is told by nobody. */
#define AGAIN_MAX_MS 1000

enum state { STATE_OLD, STATE_SETTLING, STATE_SETTLED };

struct lookout *lookout_new(const struct filewatch_file *files, size_t n)
{
    struct lookout *lookout = calloc(1, sizeof(*lookout) + n * sizeof(lookout->files[0]));
    for (size_t i = 0; lookout != NULL && i < n; i++) {
        struct lookout_file *file = &lookout->files[i];
        file->path = strdup(files[i].path);
        file->used = file->seen = files[i].print;
        if (file->path == NULL) {
            return lookout_free(lookout);
        }
        lookout->n++;
    }
    return lookout;
}

struct lookout *lookout_free(struct lookout *lookout)
{
    if (lookout != NULL) {
        for (size_t i = 0; i < lookout->n; i++) {
            free(lookout->files[i].path);
        }
        spots_release(&lookout->spots);
        free(lookout->places);
        free(lookout);
    }
    return NULL;
}

/* ---- where to watch ---- */

/* The folder of each spot, once. */
static int list_places(struct lookout *lookout)
{
    const struct spots *spots = &lookout->spots;
    const char *last = "";
    free(lookout->places);
    lookout->n_places = 0;
    lookout->places = calloc(spots->n + 1, sizeof(*lookout->places));
    if (lookout->places == NULL) {
        return -1;
    }
    for (size_t i = 0; i < spots->n; i++) {
        struct stat status;
        const char *path = spots->spots[i].folder;
        if (strcmp(path, last) != 0 && stat(path, &status) == 0) {
            lookout->places[lookout->n_places++] =
                (struct folders_place){path, status.st_dev, status.st_ino};
        }
        last = path;
    }
    return 0;
}

static int find_spots(struct lookout *lookout)
{
    spots_release(&lookout->spots);
    for (size_t i = 0; i < lookout->n; i++) {
        if (spots_add(&lookout->spots, lookout->files[i].path) < 0) {
            return -1;
        }
    }
    spots_sort(&lookout->spots);
    return list_places(lookout);
}

/* ---- contents ---- */

/* True when somebody has the file open for writing, as far as we can tell: where the file is ours.
 * The lease, which is refused in that case, is given back at once. Whoever opens the file meanwhile
 * waits that long, and we get a signal, which is to be one that nobody minds. */
static bool has_writer(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fcntl(fd, F_SETSIG, SIGURG) < 0) {
        return false;
    }
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
        return errno == EAGAIN;
    }
    (void)fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

static void look_at(struct lookout_file *file)
{
    struct print print;
    file->looked_ms = clock_ms();
    file->has_writer = false;
    print_take(file->path, &print);
    if (!print_same(&print, &file->used)) {
        /* A writer that is gone when it is looked for has written before the file is read again. */
        file->has_writer = has_writer(file->path);
        print_take(file->path, &print);
    }
    if (!print_same(&print, &file->seen)) {
        file->seen = print;
        file->since_ms = clock_ms();
    }
}

int lookout_look(struct lookout *lookout)
{
    if (find_spots(lookout) < 0) {
        return -1;
    }
    for (size_t i = 0; i < lookout->n; i++) {
        look_at(&lookout->files[i]);
    }
    return 0;
}

/* ---- what of it is to be told ---- */

static uint64_t needed_ms(const struct lookout_file *file)
{
    return !file->seen.is_there ? GONE_MS : file->has_writer ? WRITER_MS : SETTLED_MS;
}

/* How long it has been so for sure: from after it was read first to before it was read last. */
static uint64_t age_ms(const struct lookout_file *file)
{
    return file->looked_ms > file->since_ms ? file->looked_ms - file->since_ms : 0;
}

static enum state state_of(const struct lookout_file *file)
{
    if (print_same(&file->seen, &file->used) ||
        (file->is_told && print_same(&file->seen, &file->told))) {
        return STATE_OLD;
    }
    return age_ms(file) >= needed_ms(file) ? STATE_SETTLED : STATE_SETTLING;
}

static void mark_told(struct lookout *lookout)
{
    for (size_t i = 0; i < lookout->n; i++) {
        struct lookout_file *file = &lookout->files[i];
        if (state_of(file) == STATE_SETTLED) {
            file->told = file->seen;
            file->is_told = true;
        }
    }
}

bool lookout_judge(struct lookout *lookout, uint64_t *ret_again_ms)
{
    bool has_settled = false, has_waited = false;
    uint64_t again_ms = UINT64_MAX;
    for (size_t i = 0; i < lookout->n; i++) {
        const struct lookout_file *file = &lookout->files[i];
        enum state state = state_of(file);
        uint64_t needed = needed_ms(file), age = age_ms(file);
        if (state == STATE_SETTLED) {
            has_settled = true;
            has_waited = has_waited || age >= needed + TOGETHER_MS;
        } else if (state == STATE_SETTLING) {
            uint64_t left = needed - age < AGAIN_MAX_MS ? needed - age : AGAIN_MAX_MS;
            again_ms = left < again_ms ? left : again_ms;
        }
    }
    *ret_again_ms = again_ms;
    bool is_due = has_settled && (again_ms == UINT64_MAX || has_waited);
    if (is_due) {
        mark_told(lookout);
    }
    return is_due;
}
