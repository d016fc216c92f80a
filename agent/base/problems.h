/* What is wrong with a configuration: collected, not only the first, and then printed as
 * `FILE:LINE: what is wrong; what to do`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Errors that are kept; the rest is counted. */
#define PROBLEMS_MAX 50

/* Where a value stands. `line` 0: the file as a whole. `file` must outlive the place. */
struct place {
    const char *file;
    unsigned line;
};

struct problems;

/* Makes an empty collection; NULL when memory is out. */
struct problems *problems_new(void);
struct problems *problems_free(struct problems *problems);

/* Notes an error, or a warning. The format makes one sentence without a full stop. The texts are
 * copied. Files are printed in the order in which they were first noted, the lines of each from top
 * to bottom; what was noted before with the same place and text is not noted again. */
void problems_error(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problems_warning(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The number of errors noted, those past PROBLEMS_MAX included; warnings do not count. */
size_t problems_errors(const struct problems *problems);

/* Calls `each` for what was kept, in order; `text` is the line without a newline and without the
 * word `warning`. */
void problems_each(const struct problems *problems,
                   void (*each)(void *ctx, bool is_error, const char *text), void *ctx);

/* Tells the log every warning, and with `has_errors` every error, a line each. */
void problems_log(const struct problems *problems, bool has_errors);

/* Prints every line to `out`: errors as they are, warnings with `warning: ` after the place, and
 * last lines that count what was not kept. Each begins with `error_prefix` or `warning_prefix`. */
void problems_print(const struct problems *problems, FILE *out, const char *error_prefix,
                    const char *warning_prefix);
