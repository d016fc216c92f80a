/* The configuration reader: any bytes are refused with a message or make a configuration whose dump
 * reads back to the same dump. */
#include "base/problems.h"
#include "config/config.h"
#include "config/dump.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The longest line that a dump can have and still be read back. */
#define LINE_MAX_BYTES 198

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads bytes as a file. Returns its dump, owned by the caller; NULL when it has errors. */
static char *load(const void *bytes, size_t size)
{
    char path[64], *said = NULL, *text = NULL;
    size_t len;
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size) {
        abort();
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

    struct problems *problems = problems_new();
    struct config *config = config_load(path, problems);
    FILE *out = open_memstream(&said, &len);
    problems_print(problems, out, "", "");
    fclose(out);
    free(said);
    if (problems_errors(problems) == 0) {
        out = open_memstream(&text, &len);
        dump_config(config, out);
        fclose(out);
    }
    config_free(config);
    problems_free(problems);
    close(fd);
    return text;
}

/* Paths become absolute in a dump and so may outgrow what a line can hold. */
static int has_long_line(const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        if (len > LINE_MAX_BYTES) {
            return 1;
        }
        text += len + (text[len] == '\n' ? 1 : 0);
    }
    return 0;
}

/* True when the input would have us look for files all over the machine. */
static int wanders(const uint8_t *data, size_t size)
{
    return memmem(data, size, "include", 7) != NULL && memchr(data, '*', size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (wanders(data, size)) {
        return 0;
    }
    char *first = load(data, size);
    if (first != NULL && !has_long_line(first)) {
        char *second = load(first, strlen(first));
        if (second == NULL || strcmp(first, second) != 0) {
            fprintf(stderr, "the dump\n%s\nreads back as\n%s\n", first,
                    second != NULL ? second : "nothing");
            abort();
        }
        free(second);
    }
    free(first);
    return 0;
}
