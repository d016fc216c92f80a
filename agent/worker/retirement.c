#include "worker/retirement.h"

#include "worker/session.h"
#include "worker/worker_fields.h"

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

void retirement_begin(struct worker *worker, struct retirement *retirement)
{
    LIST_EACH_SAFE (session, &worker->sessions) {
        session_retire(session, retirement);
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
    while (!list_empty(&worker->retirements)) {
        struct retirement *retirement =
            list_item(worker->retirements.next, struct retirement, link);
        while (!list_empty(&retirement->sessions)) {
            if (left-- == 0) {
                return true;
            }
            session_judge(retirement->sessions.next, retirement);
        }
        retirement_free(retirement);
    }
    return false;
}
