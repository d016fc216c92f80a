#include "control/trial.h"

#include "control/audition.h"

#include <stdlib.h>

struct trial {
    uv_loop_t *loop;
    struct scratch *scratch;
    struct canary_trial *report;
    trial_done *done;
    void *ctx;

    size_t at;              /* the endpoint under way */
    struct failure refusal; /* of the new there, while the old is tried */
    struct audition *audition;
};

/* To be the last thing that a callback does: the trial may be gone when it returns. */
static void conclude(struct trial *trial)
{
    trial->done(trial->ctx, trial);
}

static const struct endpoint *endpoint_of(const struct trial *trial)
{
    return &trial->report->endpoints->list[trial->at];
}

static void note(struct trial *trial, enum canary_verdict verdict, const struct failure *failure)
{
    struct canary_trial *report = trial->report;
    report->verdict = verdict;
    report->failure = *failure;
    report->addr = endpoint_of(trial)->addr;
}

static void decide(struct trial *trial, enum canary_verdict verdict, const struct failure *failure)
{
    note(trial, verdict, failure);
    conclude(trial);
}

/* ---- from one address to the next ---- */

/* Returns -1 when memory is out. */
static int listen_to(struct trial *trial, const struct service *service, audition_done *done)
{
    trial->audition =
        audition_start(trial->loop, trial->scratch, service, endpoint_of(trial), done, trial);
    return trial->audition != NULL ? 0 : -1;
}

static void decide_on_memory(struct trial *trial)
{
    struct failure failure;
    failure_set(&failure, REASON_internal, "out of memory");
    decide(trial, CANARY_UNKNOWN, &failure);
}

static void on_new_heard(void *ctx, enum audition_verdict verdict, const struct failure *failure);

/* What one address says, where another one may yet be lost. */
static int weight_of(enum canary_verdict verdict)
{
    static const int weights[] = {
        [CANARY_UNKNOWN] = 0, [CANARY_NO_WORSE] = 1, [CANARY_PASSED] = 2, [CANARY_REFUSED] = 3};
    return weights[verdict];
}

static void go_on(struct trial *trial, enum canary_verdict verdict, const struct failure *failure)
{
    if (weight_of(verdict) >= weight_of(trial->report->verdict)) {
        note(trial, verdict, failure);
    }
    if (++trial->at == trial->report->endpoints->n) {
        conclude(trial);
    } else if (listen_to(trial, trial->report->new, on_new_heard) < 0) {
        trial->at--;
        decide_on_memory(trial);
    }
}

static void on_old_heard(void *ctx, enum audition_verdict verdict, const struct failure *failure)
{
    (void)failure;
    struct trial *trial = ctx;
    struct failure refusal = trial->refusal;
    trial->audition = audition_cancel(trial->audition);
    switch (verdict) {
    case AUDITION_ACCEPTED:
    case AUDITION_UNTOLD:
        decide(trial, CANARY_REFUSED, &refusal);
        break;
    case AUDITION_REFUSED:
        go_on(trial, CANARY_NO_WORSE, &refusal);
        break;
    case AUDITION_UNHEARD:
        go_on(trial, CANARY_UNKNOWN, &refusal);
        break;
    }
}

static bool is_by_crl(const struct failure *failure)
{
    return !failure->by_peer &&
           (failure->reason == REASON_cert_revoked || failure->reason == REASON_crl_unusable);
}

static void take_refusal(struct trial *trial, const struct failure *failure)
{
    if (is_by_crl(failure)) {
        go_on(trial, CANARY_PASSED, failure);
        return;
    }
    trial->refusal = *failure;
    if (listen_to(trial, trial->report->old, on_old_heard) < 0) {
        decide_on_memory(trial);
    }
}

static void on_new_heard(void *ctx, enum audition_verdict verdict, const struct failure *failure)
{
    struct trial *trial = ctx;
    struct failure heard = *failure;
    trial->audition = audition_cancel(trial->audition);
    switch (verdict) {
    case AUDITION_ACCEPTED:
        go_on(trial, CANARY_PASSED, &heard);
        break;
    case AUDITION_UNTOLD:
        go_on(trial, trial->report->is_required ? CANARY_UNKNOWN : CANARY_PASSED, &heard);
        break;
    case AUDITION_REFUSED:
        take_refusal(trial, &heard);
        break;
    case AUDITION_UNHEARD:
        go_on(trial, CANARY_UNKNOWN, &heard);
        break;
    }
}

/* ---- life ---- */

/* What holds until something is found. */
static void reset(struct canary_trial *report)
{
    const struct endpoints *endpoints = report->endpoints;
    report->verdict = CANARY_UNKNOWN;
    report->addr = (struct addr){0};
    if (endpoints == NULL || endpoints->n == 0) {
        failure_set(&report->failure, REASON_dns_failed, "%s",
                    endpoints != NULL && endpoints->detail != NULL ? endpoints->detail
                                                                   : "no address is known yet");
    } else {
        failure_set(&report->failure, REASON_handshake_timeout, "no verdict in time");
    }
}

struct trial *trial_start(uv_loop_t *loop, struct scratch *scratch, struct canary_trial *report,
                          trial_done *done, void *ctx)
{
    reset(report);
    if (report->endpoints == NULL || report->endpoints->n == 0) {
        return NULL;
    }
    struct trial *trial = calloc(1, sizeof(*trial));
    if (trial != NULL) {
        trial->loop = loop;
        trial->scratch = scratch;
        trial->report = report;
        trial->done = done;
        trial->ctx = ctx;
    }
    if (trial == NULL || listen_to(trial, report->new, on_new_heard) < 0) {
        failure_set(&report->failure, REASON_internal, "out of memory");
        return trial_cancel(trial);
    }
    return trial;
}

struct trial *trial_cancel(struct trial *trial)
{
    if (trial != NULL) {
        audition_cancel(trial->audition);
        free(trial);
    }
    return NULL;
}
