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

/* Begins to dial, with endpoint number `first`, counted modulo how many of them are of the same
 * host and port as the first one: those are each other's equals. TCP, over all attempts, has
 * `budget_ms`; each handshake has its own time. A backend that refuses a session which was to be
 * resumed is tried again with a full handshake. Failed attempts are logged, if there is more than
 * one endpoint. References the endpoints; the service must outlive the dialer. Returns NULL, with
 * the failure and the address set, when all attempts fail at once; no event is told then. */
struct dialer *dialer_start(struct worker *worker, const struct service *service,
                            struct endpoints *endpoints, size_t first, uint64_t budget_ms,
                            const struct dialer_events *events, void *ctx,
                            struct failure *ret_failure, struct addr *ret_addr);

/* Ends all attempts and frees the dialer. Accepts NULL; returns NULL. */
struct dialer *dialer_cancel(struct dialer *dialer);
