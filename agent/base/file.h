/* Whole files, read safely: regular files only, bounded, and never a hang on a FIFO. */
#pragma once

#include <stddef.h>

/* Reads at most `max` bytes of a regular file. On success `*ret_text` is a new buffer of `*ret_len`
 * bytes followed by a NUL, owned by the caller. Returns -1 with a clause in `*ret_why` (a constant,
 * or the text of errno): not found, not permitted, a directory, not a regular file, too large. */
int file_read(const char *path, size_t max, char **ret_text, size_t *ret_len, const char **ret_why);
