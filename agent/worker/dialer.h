/* The race to a verified backend: endpoints in their order, a next attempt as soon as one fails or
 * after 250 ms, and the first that completes TLS and the trust decision wins (the order and pace of
 * RFC 8305 section 5). */
#pragma once

#include "base/failure.h"
#include "tls/tls.h"
#include "worker/endpoints.h"
#include "worker/service.h"
#include "worker/upstream.h"
#include "worker/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct dialer;

/* One of them is called, once, and neither after dialer_cancel(). The dialer is gone by then. */
struct dialer_events {
    /* `upstream` is the callee's to take over; `rest` is ciphertext behind the handshake, valid
     * during the call only. */
    void (*won)(void *ctx, struct upstream *upstream, struct tls_input *rest);
    /* The failure of the attempt that came furthest, and its address. */
    void (*lost)(void *ctx, const struct failure *failure, const struct addr *addr);
};

struct dialer_plan {
    const struct service *service; /* must outlive the dialer */
    struct endpoints *endpoints;   /* a reference is taken */
    uint64_t budget_ms;            /* for TCP, in all attempts; each handshake has its own time */
    bool is_ahead;                 /* of callers, whose handshakes come first */
    /* Turns the leading endpoints, as many as are addresses of one host and port and so each
     * other's equals; 0 leaves the order as it is. */
    size_t first;
    const struct dialer_events *events;
    void *ctx;
};

/* Begins to dial. A backend that refuses a session which was to be resumed is tried again with a
 * full handshake. Failed attempts are logged, if there is more than one endpoint. Copies the plan.
 * Returns NULL, with the failure and the address set, when all attempts fail at once; no event is
 * told then. */
struct dialer *dialer_start(struct worker *worker, const struct dialer_plan *plan,
                            struct failure *ret_failure, struct addr *ret_addr);

/* Ends all attempts and frees the dialer. Accepts NULL; returns NULL. */
struct dialer *dialer_cancel(struct dialer *dialer);
