#include "control/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(char ***texts, size_t *n, const char *text)
{
    char **grown = reallocarray(*texts, *n + 1, sizeof(char *));
    if (grown == NULL) {
        return;
    }
    *texts = grown;
    grown[*n] = strdup(text);
    *n += grown[*n] != NULL;
}

static void note(void *ctx, bool is_error, const char *text)
{
    struct outcome *outcome = ctx;
    if (is_error) {
        add(&outcome->faults, &outcome->n_faults, text);
    } else {
        add(&outcome->warnings, &outcome->n_warnings, text);
    }
}

void outcome_note(struct outcome *outcome, const struct problems *problems)
{
    char more[64];
    problems_each(problems, note, outcome);
    if (problems_errors(problems) > outcome->n_faults) {
        snprintf(more, sizeof(more), "and %zu more", problems_errors(problems) - outcome->n_faults);
        add(&outcome->faults, &outcome->n_faults, more);
    }
}

static void release(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(texts[i]);
    }
    free(texts);
}

void outcome_release(struct outcome *outcome)
{
    release(outcome->faults, outcome->n_faults);
    release(outcome->warnings, outcome->n_warnings);
    *outcome = (struct outcome){0};
}
