/* A session's fields, for the files that make it up: session.c (its way through life) and
 * retirement.c (when that ends early). */
#pragma once

#include "base/addr.h"
#include "base/list.h"
#include "worker/deadline.h"
#include "worker/dialer.h"
#include "worker/relay.h"
#include "worker/retirement.h"
#include "worker/watch.h"
#include "worker/worker_fields.h"

/* The state of a session is which of `dialer` and `relay` is there: neither while it waits for its
 * endpoints, then the one, then the other. */
struct session {
    struct list link;  /* in worker->sessions */
    struct list queue; /* in slot->waiting, or in a retirement's list */
    struct worker *worker;
    struct service *service; /* a reference: the slot may move on to another */

    struct addr caller_addr, upstream_addr; /* upstream_addr.len 0: none was reached */
    struct watch *caller;
    bool is_warm;              /* it began with a session that was kept ready */
    bool has_place;            /* among the service's max_connections */
    struct deadline *deadline; /* of the wait for endpoints, later of the life time or terms */
    uint64_t accepted_ms;
    uint64_t began_ms;                /* to get connected */
    struct retirement_terms replaced; /* end_ms 0: what it was made with is in use */
    struct retirement_terms expiring; /* end_ms 0: its certificate is not about to run out */
    const char *why;                  /* what the backend would be refused for now; NULL: our
                                       * certificate was replaced */

    struct dialer *dialer;
    struct relay *relay;
};

/* Ends what the session was doing to get connected, and begins anew with the service as it is now:
 * nothing of the caller's has been sent. */
void session_redial(struct session *session, struct service *now);

/* To be called when the terms of its retirement have changed. */
void session_set_end(struct session *session);
