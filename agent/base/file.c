#include "base/file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

/* The clause for an errno value. */
static const char *clause(int error)
{
    switch (error) {
    case ENOENT:
        return "not found";
    case EACCES:
    case EPERM:
        return "not permitted";
    case ENOMEM:
        return "out of memory";
    default:
        return strerror(error);
    }
}

/* What keeps a file from being read, or NULL. */
static const char *file_fault(int fd, size_t max, size_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return clause(errno);
    }
    if (S_ISDIR(st.st_mode)) {
        return "a directory, not a file";
    }
    if (!S_ISREG(st.st_mode)) {
        return "not a regular file";
    }
    if (st.st_size < 0 || (uintmax_t)st.st_size > max) {
        return "too large";
    }
    /* The files of /proc have no size before they are read. */
    *ret_size = st.st_size > 0 ? (size_t)st.st_size : max;
    return NULL;
}

/* Reads to the end of the file. Returns NULL, or why not. */
static const char *fill(int fd, char *text, size_t size, size_t *ret_len)
{
    size_t len = 0;
    for (;;) {
        /* One byte more than expected shows that the file is longer. */
        ssize_t n = read(fd, text + len, size + 1 - len);
        if (n < 0 && errno != EINTR) {
            return clause(errno);
        }
        if (n == 0) {
            *ret_len = len;
            return NULL;
        }
        len += n > 0 ? (size_t)n : 0;
        if (len > size) {
            return "too large, or growing while it was read";
        }
    }
}

int file_read(const char *path, size_t max, char **ret_text, size_t *ret_len, const char **ret_why)
{
    size_t size = 0, len = 0;
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *why = fd < 0 ? clause(errno) : file_fault(fd, max, &size);
    if (why != NULL) {
        *ret_why = why;
        return -1;
    }
    /* One buffer, never moved: a secret must leave no copy behind. */
    char *text = malloc(size + 2);
    if (text == NULL) {
        *ret_why = clause(ENOMEM);
        return -1;
    }
    why = fill(fd, text, size, &len);
    if (why != NULL) {
        explicit_bzero(text, size + 2);
        free(text);
        *ret_why = why;
        return -1;
    }
    text[len] = '\0';
    *ret_text = text;
    *ret_len = len;
    return 0;
}
