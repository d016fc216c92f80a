/* A step of a TLS handshake that another thread carries out, while the loop serves others. */
#pragma once

#include "base/buf.h"
#include "tls/tls.h"
#include "worker/jobs.h"

#include <stddef.h>

struct offload;

/* What came of it, on the loop. The session is the callee's again; the rest of the input and the
 * output are valid during the call only. The offload is gone by then. `error` is 0, or ENOMEM when
 * the step was not begun, for memory is scarce. */
typedef void offload_done(void *ctx, struct tls *tls, int error, enum tls_status status,
                          struct tls_input *rest, struct buf *flight);

/* Goes on with the handshake, with a copy of the input, when its turn comes. The session is the
 * offload's until `done` is called, which is not before this returns. Returns NULL, with errno set
 * as by jobs_add() and the session still the caller's, on failure. */
struct offload *offload_start(struct jobs *jobs, struct job_turn turn, struct tls *tls,
                              const struct tls_input *in, offload_done *done, void *ctx);

/* Gives it up, and frees it with the session as soon as no thread uses them. Accepts NULL; returns
 * NULL. */
struct offload *offload_cancel(struct offload *offload);
