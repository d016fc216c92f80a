/* Bytes that must not linger: keys and passwords. */
#pragma once

#include <stddef.h>

struct secret {
    char *bytes; /* followed by a NUL */
    size_t len;
};

/* Reads a file as file_read() does, without leaving a copy anywhere else. */
int secret_read(const char *path, size_t max, struct secret *ret_secret, const char **ret_why);

/* Drops one trailing newline ("\n" or "\r\n"), as password files have. */
void secret_chomp(struct secret *secret);

/* Wipes and frees the bytes. Accepts an empty secret. */
void secret_release(struct secret *secret);
