/* How a relay ends. A verdict takes effect when the event that led to it has been dealt with. */
#pragma once

#include "base/failure.h"
#include "worker/relay.h"

/* The relay is over, with the verdict that stands. */
void verdict_conclude(struct relay *relay);

/* The relay is over, for this reason. The first such verdict stands. */
void verdict_end(struct relay *relay, enum reason reason, const char *detail);

/* One side has finished, or failed: the other has close_timeout_ms from the first time that this is
 * said. */
void verdict_start_closing(struct relay *relay);

/* A side has not finished while what it sent is still being taken by a slow reader: if some of it
 * was since the last look, sets the time anew. To be called now and then while `undelivered` is not
 * 0. */
void verdict_look_at_closing(struct relay *relay);

/* The backend's side has failed: the relay is over once all that came before is delivered. The
 * first such verdict stands. */
void verdict_fail_upstream(struct relay *relay, const struct failure *failure);

/* The same for the end of the transport without close_notify; `error` is the socket's, 0 for an end
 * of file. */
void verdict_fail_transport(struct relay *relay, int error);

/* The caller's side has failed with this errno: there is nobody left to deliver to. */
void verdict_fail_caller(struct relay *relay, int error);
