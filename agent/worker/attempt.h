/* One attempt to reach one endpoint: TCP, the TLS handshake, and the trust decision. */
#pragma once

#include "base/failure.h"
#include "tls/tls.h"
#include "worker/endpoints.h"
#include "worker/jobs.h"
#include "worker/scratch.h"
#include "worker/service.h"
#include "worker/upstream.h"

#include <stdbool.h>

struct attempt;

/* One of `established` and `failed` is called, once, and neither after attempt_cancel(). Either may
 * cancel the attempt. The end of our handshake is still held by the upstream: it goes with the
 * first data, or by upstream_flush(). `rest` is ciphertext behind the handshake, valid during the
 * call only. */
struct attempt_events {
    void (*established)(void *ctx, struct attempt *attempt, struct tls_input *rest);
    void (*failed)(void *ctx, struct attempt *attempt, const struct failure *failure);
};

/* How it is made; what is pointed to must outlive the attempt. */
struct attempt_plan {
    uv_loop_t *loop;
    struct scratch *scratch;
    struct jobs *jobs; /* do what takes long, in turn with others; NULL: it is done on the loop */
    bool is_ahead;     /* of callers, whose turns come first */
    const struct service *service;
    const struct attempt_events *events;
    void *ctx;
};

/* Begins to connect. The handshake has the service's handshake_timeout_ms from the moment that TCP
 * is connected; TCP itself is bounded by whoever started the attempt. Copies the plan. Returns
 * NULL, with the failure set, when it fails at once; no event is told then. */
struct attempt *attempt_start(const struct attempt_plan *plan, const struct endpoint *endpoint,
                              struct failure *ret_failure);

/* True until TCP is connected. */
bool attempt_is_connecting(const struct attempt *attempt);

const struct addr *attempt_addr(const struct attempt *attempt);

/* The session, which has not begun to speak before attempt_start() has returned; NULL while
 * another thread has it (at a deadline, say), and after attempt_take(). */
struct tls *attempt_tls(const struct attempt *attempt);

/* When the attempt began, and when TCP was connected, on the clock of uv_hrtime(); 0: it is not. */
uint64_t attempt_began_ns(const struct attempt *attempt);
uint64_t attempt_connected_ns(const struct attempt *attempt);

/* Moves the established upstream to `ret_upstream`; to be called from `established`. */
void attempt_take(struct attempt *attempt, struct upstream *ret_upstream);

/* Ends the attempt and frees it. Accepts NULL; returns NULL. */
struct attempt *attempt_cancel(struct attempt *attempt);
