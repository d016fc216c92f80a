/* The side of a connection that leads to the backend: a socket, the TLS session on it, and the
 * ciphertext that the kernel has not taken yet. */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "tls/tls.h"
#include "worker/watch.h"

#include <stdbool.h>

struct upstream {
    struct watch *watch;
    struct tls *tls;
    struct buf unsent;
    struct addr addr;
};

/* Sends `flight` behind what is unsent, keeps what the kernel does not take, and leaves `flight`
 * empty. Returns -1, with errno set, when the socket or memory failed. */
int upstream_send(struct upstream *upstream, struct buf *flight);

/* Sends what is unsent, as far as the kernel takes it. Returns -1 with errno set. */
int upstream_flush(struct upstream *upstream);

/* Closes and frees all of it. With `abort` the backend sees a reset, not an end of file. Accepts an
 * upstream that was never opened. */
void upstream_close(struct upstream *upstream, bool abort);
