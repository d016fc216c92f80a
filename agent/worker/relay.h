/* The relay: plaintext with the caller on one side, a verified TLS session with the backend on the
 * other. It owns the upstream, borrows the caller's socket, and holds no buffer while idle. */
#pragma once

#include "base/failure.h"
#include "tls/tls.h"
#include "worker/service.h"
#include "worker/upstream.h"
#include "worker/watch.h"
#include "worker/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct relay;

/* Told once, when the relay is over: with reason `ok` when both sides finished in order. What could
 * be delivered was. The callee frees the relay. */
typedef void relay_ended(void *ctx, const struct failure *failure);

/* Makes a relay, which then owns what is in `upstream`, also on failure (NULL: memory is out). The
 * caller's watch and the service must outlive it. */
struct relay *relay_new(struct worker *worker, const struct service *service, struct watch *caller,
                        struct upstream *upstream, relay_ended *ended, void *ctx);

/* Begins to move bytes, with `rest`, the ciphertext that came behind the handshake. `ended` may be
 * called before this returns. */
void relay_begin(struct relay *relay, struct tls_input *rest);

/* Plaintext bytes that went to the backend, and that came from it. */
uint64_t relay_sent(const struct relay *relay);
uint64_t relay_received(const struct relay *relay);

/* True when the caller has been given the whole of the backend's stream and its end. What of it
 * still waits in the kernel is lost if the caller's socket is reset. */
bool relay_caller_is_served(const struct relay *relay);

/* True when the backend has accepted us, as tls_is_confirmed() has it; then that was counted. */
bool relay_is_accepted(const struct relay *relay);

/* True when nothing is on its way through the relay, and nothing was for that long. */
bool relay_is_quiet(const struct relay *relay, uint64_t ms);

/* As peer_would_pass(). */
bool relay_would_pass(struct relay *relay, struct profile *profile, struct failure *ret_failure);

const struct tls *relay_tls(const struct relay *relay);

/* Closes the upstream and frees the relay. With `abort` the backend sees a reset, so that it does
 * not take half a request for a whole one. Accepts NULL; returns NULL. */
struct relay *relay_free(struct relay *relay, bool abort);
