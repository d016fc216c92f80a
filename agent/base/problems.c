#include "base/problems.h"

#include "base/escape.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* One line: the place in front, the sentence behind it. */
struct problem {
    bool is_error;
    char *text;
    size_t place_len; /* bytes of `text` that are the place, with ": " */
    size_t file_len;  /* bytes of `text` that are the file */
    unsigned line;
};

struct problems {
    struct problem errors[PROBLEMS_MAX], warnings[PROBLEMS_MAX];
    const struct problem *order[2 * PROBLEMS_MAX]; /* as they are printed */
    size_t n_errors, n_warnings;                   /* noted, kept or not */
    size_t n_order;
};

struct problems *problems_new(void)
{
    return calloc(1, sizeof(struct problems));
}

struct problems *problems_free(struct problems *problems)
{
    if (problems != NULL) {
        for (size_t i = 0; i < problems->n_order; i++) {
            free(problems->order[i]->text);
        }
        free(problems);
    }
    return NULL;
}

/* Writes the place with its final ": ". */
static int print_place(FILE *out, struct place place)
{
    if (place.file == NULL) {
        return 0;
    }
    return place.line > 0 ? fprintf(out, "%s:%u: ", place.file, place.line)
                          : fprintf(out, "%s: ", place.file);
}

/* Makes the line. Returns -1 when memory is out. */
__attribute__((format(printf, 3, 0))) static int compose(struct problem *problem,
                                                         struct place place, const char *format,
                                                         va_list args)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) {
        return -1;
    }
    int place_len = print_place(out, place);
    int rest = vfprintf(out, format, args);
    /* Out of memory at the end, glibc reports success and leaves no text. */
    if (fclose(out) != 0 || text == NULL || place_len < 0 || rest < 0) {
        free(text);
        return -1;
    }
    escape_blank(text); /* a file's name may hold anything; a line must stay one line */
    problem->text = text;
    problem->place_len = (size_t)place_len;
    problem->file_len = place.file != NULL ? strlen(place.file) : 0;
    problem->line = place.line;
    return 0;
}

/* True when the same line was kept before. */
static bool is_known(const struct problems *problems, const struct problem *problem)
{
    for (size_t i = 0; i < problems->n_order; i++) {
        if (problems->order[i]->is_error == problem->is_error &&
            strcmp(problems->order[i]->text, problem->text) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_same_file(const struct problem *a, const struct problem *b)
{
    return a->file_len == b->file_len && memcmp(a->text, b->text, a->file_len) == 0;
}

/* Puts a kept line where it is to be printed. */
static void insert(struct problems *problems, const struct problem *problem)
{
    const struct problem **order = problems->order;
    size_t at = problems->n_order;
    for (size_t i = 0; i < problems->n_order; i++) {
        if (is_same_file(order[i], problem)) {
            at = i;
            if (order[i]->line > problem->line) {
                break;
            }
            at++;
        }
    }
    memmove(&order[at + 1], &order[at], (problems->n_order - at) * sizeof(struct problem *));
    order[at] = problem;
    problems->n_order++;
}

/* Notes a line: counts it always, keeps it while there is room and memory. */
__attribute__((format(printf, 4, 0))) static void note(struct problems *problems,
                                                       struct problem problem, struct place place,
                                                       const char *format, va_list args)
{
    struct problem *kept = problem.is_error ? problems->errors : problems->warnings;
    size_t *n = problem.is_error ? &problems->n_errors : &problems->n_warnings;
    if (compose(&problem, place, format, args) < 0) {
        (*n)++;
        return;
    }
    if (is_known(problems, &problem)) {
        free(problem.text);
        return;
    }
    if (*n >= PROBLEMS_MAX) {
        free(problem.text);
    } else {
        kept[*n] = problem;
        insert(problems, &kept[*n]);
    }
    (*n)++;
}

void problems_error(struct problems *problems, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(problems, (struct problem){.is_error = true}, place, format, args);
    va_end(args);
}

void problems_warning(struct problems *problems, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(problems, (struct problem){.is_error = false}, place, format, args);
    va_end(args);
}

size_t problems_errors(const struct problems *problems)
{
    return problems->n_errors;
}

void problems_each(const struct problems *problems,
                   void (*each)(void *ctx, bool is_error, const char *text), void *ctx)
{
    for (size_t i = 0; i < problems->n_order; i++) {
        each(ctx, problems->order[i]->is_error, problems->order[i]->text);
    }
}

void problems_log(const struct problems *problems, bool has_errors)
{
    for (size_t i = 0; i < problems->n_order; i++) {
        bool is_error = problems->order[i]->is_error;
        if (has_errors || !is_error) {
            log_message(is_error ? LEVEL_ERROR : LEVEL_WARNING, "%s", problems->order[i]->text);
        }
    }
}

static void print_left(FILE *out, const char *prefix, size_t left, const char *what)
{
    if (left > 0) {
        fprintf(out, "%sand %zu more %s%s\n", prefix, left, what, left == 1 ? "" : "s");
    }
}

void problems_print(const struct problems *problems, FILE *out, const char *error_prefix,
                    const char *warning_prefix)
{
    size_t errors = 0;
    for (size_t i = 0; i < problems->n_order; i++) {
        const struct problem *problem = problems->order[i];
        errors += problem->is_error ? 1 : 0;
        fprintf(out, "%s%.*s%s%s\n", problem->is_error ? error_prefix : warning_prefix,
                (int)problem->place_len, problem->text,
                problem->is_error ? "" : "warning: ", problem->text + problem->place_len);
    }
    print_left(out, error_prefix, problems->n_errors - errors, "error");
    print_left(out, warning_prefix, problems->n_warnings - (problems->n_order - errors), "warning");
}
