#include "worker/retirement.h"

#include "worker/session_fields.h"

#include <stdlib.h>

/* Backends judged per turn of the loop: each takes some 0.1 to 0.2 ms. */
#define JUDGED_MAX 16

struct retirement *retirement_new(enum retirement_cause cause, struct service *service,
                                  struct retirement_terms terms)
{
    struct retirement *retirement = calloc(1, sizeof(*retirement));
    if (retirement == NULL) {
        return NULL;
    }
    list_init(&retirement->link);
    list_init(&retirement->sessions);
    retirement->cause = cause;
    retirement->service = service_ref(service);
    retirement->terms = terms;
    return retirement;
}

struct retirement *retirement_free(struct retirement *retirement)
{
    if (retirement != NULL) {
        list_remove(&retirement->link);
        service_unref(retirement->service);
        free(retirement);
    }
    return NULL;
}

/* Those that were set first stand. */
static void replace(struct session *session, const struct retirement_terms *terms, const char *why)
{
    if (session->replaced.end_ms == 0) {
        session->replaced = *terms;
        session->why = why;
        session_set_end(session);
    }
}

/* These follow the wall clock, and may be taken back when that is set. */
static void expire(struct session *session, const struct retirement_terms *terms)
{
    const struct retirement_terms none = {0};
    session->expiring = terms->end_ms == UINT64_MAX ? none : *terms;
    session_set_end(session);
}

static bool is_meant(const struct session *session, const struct retirement *retirement)
{
    const struct service *began = session->service, *now = retirement->service;
    bool is_same = profile_identity(began->profile) == profile_identity(now->profile);
    if (began->account != now->account) {
        return false;
    }
    switch (retirement->cause) {
    case RETIREMENT_REPLACED:
        return !is_same;
    case RETIREMENT_EXPIRING:
        return is_same;
    default:
        return began != now;
    }
}

/* Where the backend has to be judged first, the session waits for that in the retirement's list. */
static void retire(struct list *link, struct retirement *retirement)
{
    struct session *session = list_item(link, struct session, link);
    if (!is_meant(session, retirement)) {
        return;
    }
    if (session->dialer != NULL && retirement->cause != RETIREMENT_EXPIRING) {
        session_redial(session, retirement->service);
    } else if (session->relay == NULL) {
        return; /* it has not begun, or began with what is in use */
    } else if (retirement->cause == RETIREMENT_JUDGED) {
        list_remove(&session->queue); /* of an earlier judgement, which this one overtakes */
        list_append(&retirement->sessions, &session->queue);
    } else if (retirement->cause == RETIREMENT_EXPIRING) {
        expire(session, &retirement->terms);
    } else {
        replace(session, &retirement->terms, NULL);
    }
}

static void judge(struct list *queue, const struct retirement *retirement)
{
    struct session *session = list_item(queue, struct session, queue);
    struct failure failure;
    list_remove(queue);
    if (!relay_would_pass(session->relay, retirement->service->profile, &failure)) {
        replace(session, &retirement->terms, reason_word(failure.reason));
    }
}

void retirement_begin(struct worker *worker, struct retirement *retirement)
{
    LIST_EACH_SAFE (session, &worker->sessions) {
        retire(session, retirement);
    }
    if (list_empty(&retirement->sessions)) {
        retirement_free(retirement);
    } else {
        list_append(&worker->retirements, &retirement->link);
    }
}

bool retirement_go_on(struct worker *worker)
{
    unsigned left = JUDGED_MAX;
    LIST_EACH_SAFE (link, &worker->retirements) {
        struct retirement *retirement = list_item(link, struct retirement, link);
        while (!list_empty(&retirement->sessions)) {
            if (left-- == 0) {
                return true;
            }
            judge(retirement->sessions.next, retirement);
        }
        retirement_free(retirement);
    }
    return false;
}
