/* An established TLS session as a local stream socket: what is written there goes to the backend,
 * what the backend says can be read there. */
#pragma once

#include "base/addr.h"
#include "base/failure.h"
#include "worker/scratch.h"
#include "worker/upstream.h"

#include <uv.h>

struct tunnel;

/* Takes the upstream over, and starts to carry. Takes over `early` too, plaintext that the backend
 * has said already, and delivers it first. `*ret_addr` is the address of a UNIX socket, in no file
 * system, that takes one connection of this process and no other's. That connection comes to its
 * end of file when all that the backend said is delivered, for whatever reason it said no more.
 * Returns NULL when the tunnel cannot be made; the upstream is closed then, and `early` released.
 */
struct tunnel *tunnel_open(uv_loop_t *loop, struct scratch *scratch, struct upstream *upstream,
                           struct buf *early, struct addr *ret_addr);

/* Why the backend's side ended; REASON_ok while it is open, or after its close_notify. Known before
 * the end of file can be read. */
const struct failure *tunnel_failure(const struct tunnel *tunnel);

/* The session, which the tunnel owns. */
struct tls *tunnel_tls(struct tunnel *tunnel);

/* Says close_notify and closes both ends. Accepts NULL; returns NULL. */
struct tunnel *tunnel_close(struct tunnel *tunnel);
