#include "config/path.h"

#include "base/cleanup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define VARIABLE "${CREDENTIALS_DIRECTORY}"

static const char out_of_memory[] = "out of memory; free some and try again";

/* A path being put together. */
struct composition {
    FILE *out;
    bool is_pattern;
};

/* Adds what the text does not say itself. */
static void add_context(const struct composition *path, const char *part, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (path->is_pattern && strchr("*?[]\\", part[i]) != NULL) {
            fputc('\\', path->out);
        }
        fputc(part[i], path->out);
    }
}

/* Adds the text with its variables replaced. Returns NULL, or what is wrong. */
static const char *add_text(const struct composition *path, const char *text)
{
    const char *dollar;
    while ((dollar = strstr(text, "${")) != NULL) {
        fwrite(text, 1, (size_t)(dollar - text), path->out);
        if (strncmp(dollar, VARIABLE, strlen(VARIABLE)) != 0) {
            return "the only variable in a path is " VARIABLE "; write the path in full";
        }
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        if (directory == NULL || *directory != '/') {
            return "CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with "
                   "LoadCredential=";
        }
        add_context(path, directory, strlen(directory));
        text = dollar + strlen(VARIABLE);
    }
    fputs(text, path->out);
    return NULL;
}

/* Adds the folder in which `file` is. Returns NULL, or what is wrong. */
static const char *add_folder(const struct composition *path, const char *file, bool absolute)
{
    if (absolute && *file != '/') {
        AUTO_FREE char *here = getcwd(NULL, 0);
        if (here == NULL) {
            return "the working directory is gone; write an absolute path";
        }
        add_context(path, here, strlen(here));
        fputc('/', path->out);
        file += strncmp(file, "./", 2) == 0 ? 2 : 0;
    }
    const char *slash = strrchr(file, '/');
    add_context(path, file, slash != NULL ? (size_t)(slash + 1 - file) : 0);
    return NULL;
}

/* Puts a path together. */
static char *compose(const char *file, const char *text, bool is_pattern, const char **ret_why)
{
    AUTO_FREE char *result = NULL;
    size_t len = 0;
    struct composition path = {open_memstream(&result, &len), is_pattern};
    if (path.out == NULL) {
        *ret_why = out_of_memory;
        return NULL;
    }
    bool is_relative = *text != '/' && strncmp(text, VARIABLE, strlen(VARIABLE)) != 0;
    const char *why = is_relative ? add_folder(&path, file, !is_pattern) : NULL;
    why = why != NULL ? why : add_text(&path, text);
    /* Out of memory at the end, glibc reports success and leaves no text. */
    if (fclose(path.out) != 0 || result == NULL) {
        why = out_of_memory;
    } else if (why == NULL && len >= PATH_MAX) {
        why = "the path is too long; move the file";
    }
    if (why != NULL) {
        *ret_why = why;
        return NULL;
    }
    return cleanup_steal(result);
}

char *path_absolute(const char *file, const char *text, const char **ret_why)
{
    return compose(file, text, false, ret_why);
}

char *path_pattern(const char *file, const char *text, const char **ret_why)
{
    return compose(file, text, true, ret_why);
}
