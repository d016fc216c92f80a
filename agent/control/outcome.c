#include "control/outcome.h"

#include "base/log.h"

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

void outcome_log(const struct outcome *outcome)
{
    struct log_line line;
    for (size_t i = 0; i < outcome->n_faults; i++) {
        log_message(LEVEL_ERROR, "%s", outcome->faults[i]);
    }
    for (size_t i = 0; i < outcome->n_warnings; i++) {
        log_message(LEVEL_WARNING, "%s", outcome->warnings[i]);
    }
    log_begin(&line, outcome->is_refused ? LEVEL_ERROR : LEVEL_INFO,
              outcome->is_refused ? "reload refused" : "reloaded");
    if (outcome->is_refused) {
        log_number(&line, "faults", outcome->n_faults);
        log_text(&line, "detail", "everything stays as it was");
    } else {
        log_number(&line, "added", outcome->counts.added);
        log_number(&line, "changed", outcome->counts.changed);
        log_number(&line, "removed", outcome->counts.removed);
        log_number(&line, "unchanged", outcome->counts.unchanged);
    }
    log_number(&line, "generation", outcome->generation);
    log_end(&line);
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
