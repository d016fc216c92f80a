/* One visit to one address: TCP, the TLS handshake and the trust decision as the agent makes them,
 * then the backend's word on our certificate. */
#pragma once

#include "probe/report.h"
#include "tls/ticket.h"
#include "worker/scratch.h"
#include "worker/service.h"
#include "worker/upstream.h"

#include <uv.h>

struct visit;

/* Called once, unless the visit was ended before. What was found is in the report; when its failure
 * is REASON_ok the session is open, and nobody listens to it. May end the visit. */
typedef void visit_done(void *ctx, struct visit *visit);

/* Begins a visit that fills in `endpoint`, which must outlive it, and of which the address is given
 * and a failure: that of a visit that does not come to its end. `offer` is a ticket to resume from,
 * or NULL. Returns NULL when memory is out. Never calls `done` before it returns. */
struct visit *visit_start(uv_loop_t *loop, struct scratch *scratch, const struct service *service,
                          struct report_endpoint *endpoint, const struct ticket *offer,
                          visit_done *done, void *ctx);

/* The report that it fills in. */
struct report_endpoint *visit_endpoint(const struct visit *visit);

/* True when the ticket could be offered. */
bool visit_has_offered(const struct visit *visit);

/* The open session; NULL when there is none. */
struct tls *visit_tls(const struct visit *visit);

/* Moves the open session out, with the plaintext that the backend has said unasked. */
void visit_take(struct visit *visit, struct upstream *ret_upstream, struct buf *ret_early);

/* Ends the visit, with close_notify if the session is open, and frees it. Accepts NULL; returns
 * NULL. */
struct visit *visit_end(struct visit *visit);
