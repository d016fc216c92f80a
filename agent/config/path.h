/* Paths that a configuration file names: a relative one starts from the folder of `file`, in which
 * it stands, and ${CREDENTIALS_DIRECTORY} is replaced. Each function returns a new string, or NULL
 * with a clause in `*ret_why` (a constant) that says what is wrong and what to do. */
#pragma once

/* Makes a path absolute, so that it means the same from anywhere. */
char *path_absolute(const char *file, const char *text, const char **ret_why);

/* Makes a pattern for glob(3), with its special characters escaped in all that `text` does not say
 * itself. */
char *path_pattern(const char *file, const char *text, const char **ret_why);
