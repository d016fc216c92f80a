/* The end of connections that were made with what is no longer in use: an identity that was
 * replaced or is about to expire, CAs or CRLs that their backend may no longer pass.
 *
 * A retirement is made by the control plane and carried out in a worker. To judge a backend anew
 * takes a while, so it is done for some connections in each turn of the loop. */
#pragma once

#include "base/list.h"
#include "worker/service.h"

#include <stdbool.h>
#include <stdint.h>

/* By when a connection is to end, on the clock of clock_ms(). */
struct retirement_terms {
    uint64_t end_ms; /* UINT64_MAX: never: a retirement is taken back */
    bool when_quiet; /* sooner, as soon as no byte has moved for a second */
};

/* Which connections of a service are meant: those that */
enum retirement_cause {
    RETIREMENT_REPLACED, /* present another identity than it does now */
    RETIREMENT_JUDGED,   /* have a backend that does not pass its CAs and CRLs of now */
    RETIREMENT_EXPIRING, /* present the identity that it still does */
};

struct retirement {
    struct list link;        /* in worker->retirements */
    struct list sessions;    /* still to be judged */
    struct service *service; /* a reference: as it is now */
    enum retirement_cause cause;
    struct retirement_terms terms;
};

/* Makes a retirement of connections of a service, whatever it was when they began. `service` is
 * referenced. NULL when memory is out. */
struct retirement *retirement_new(enum retirement_cause cause, struct service *service,
                                  struct retirement_terms terms);

/* Nobody may wait in it any more. Accepts NULL; returns NULL. */
struct retirement *retirement_free(struct retirement *retirement);

struct worker;

/* Begins a retirement in a worker's thread; owns it from here on. */
void retirement_begin(struct worker *worker, struct retirement *retirement);

/* Judges some of those who wait for it. Returns true when there are more. */
bool retirement_go_on(struct worker *worker);
