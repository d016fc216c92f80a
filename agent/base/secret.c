#include "base/secret.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

int secret_read(const char *path, size_t max, struct secret *ret_secret, const char **ret_why)
{
    return file_read(path, max, &ret_secret->bytes, &ret_secret->len, ret_why);
}

/* Drops the last byte when it is `byte`. */
static void drop_last(struct secret *secret, char byte)
{
    if (secret->len > 0 && secret->bytes[secret->len - 1] == byte) {
        secret->bytes[--secret->len] = '\0';
    }
}

void secret_chomp(struct secret *secret)
{
    size_t before = secret->len;
    drop_last(secret, '\n');
    if (secret->len < before) {
        drop_last(secret, '\r');
    }
}

void secret_release(struct secret *secret)
{
    if (secret->bytes != NULL) {
        explicit_bzero(secret->bytes, secret->len);
        free(secret->bytes);
    }
    *secret = (struct secret){0};
}
