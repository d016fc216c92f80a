/* Before a new identity or new CAs replace the old ones of a service: a handshake with its backends
 * that tells whether these take the new as well as they took the old. Nothing is logged or counted
 * here. */
#pragma once

#include "base/addr.h"
#include "base/failure.h"
#include "worker/endpoints.h"
#include "worker/service.h"

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

enum canary_verdict {
    CANARY_UNKNOWN,  /* no backend could be reached, or none gave its word in time */
    CANARY_PASSED,   /* a backend takes the new, and none is lost */
    CANARY_REFUSED,  /* a backend that takes the old and the new do not want each other */
    CANARY_NO_WORSE, /* neither the new nor the old is taken */
};

/* One service that changes, and what came of its trial. The addresses are gone through in order:
 * one at which the old alone is taken decides, for connections may be led there; else one that
 * takes the new. A backend that was revoked, or whose CRL is unusable, passes: to refuse it is what
 * the new is for. One that is silent on our certificate passes too, unless its acceptance is
 * required. */
struct canary_trial {
    struct service *old, *new;   /* references are taken */
    struct endpoints *endpoints; /* a reference is taken; NULL or empty: no address is known */
    bool is_required;

    enum canary_verdict verdict;
    struct failure failure; /* of the new; REASON_ok where it was accepted */
    struct addr addr;       /* of the backend that it is about; len 0: of none */
};

struct canary;

/* Called once, unless the canary was cancelled before. The trials, in the order in which they were
 * given, are valid until canary_cancel(), which this may call. */
typedef void canary_done(void *ctx, struct canary_trial *trials, size_t n);

/* Begins the trials, of which `trials` is copied: some at a time, all within half a minute, after
 * which the rest stays CANARY_UNKNOWN. Returns NULL when memory is out. Never calls `done` before
 * it returns. */
struct canary *canary_start(uv_loop_t *loop, const struct canary_trial *trials, size_t n,
                            canary_done *done, void *ctx);

/* Ends the trials, also when they are done, and frees them. Accepts NULL; returns NULL. */
struct canary *canary_cancel(struct canary *canary);
