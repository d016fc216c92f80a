/* Paths that a configuration file names. */
#pragma once

/* Replaces ${CREDENTIALS_DIRECTORY} in `text` and reads a relative path from the folder of `file`,
 * in which it stands. Returns a new string, or NULL with a clause in `*ret_why` (a constant) that
 * says what is wrong and what to do. */
char *path_resolve(const char *file, const char *text, const char **ret_why);

/* As path_resolve(), and makes the path absolute, so that it means the same from anywhere. */
char *path_absolute(const char *file, const char *text, const char **ret_why);

/* As path_resolve(), with the special characters of glob(3) escaped in all that `text` does not say
 * itself. */
char *path_pattern(const char *file, const char *text, const char **ret_why);
