/* The side of a connection that leads to the backend: a socket, the TLS session on it, and the
 * ciphertext that the kernel has not taken yet. */
#pragma once

#include "base/addr.h"
#include "base/buf.h"
#include "tls/resumption.h"
#include "tls/tls.h"
#include "worker/watch.h"

#include <stdbool.h>

struct upstream {
    struct watch *watch;
    struct tls *tls;
    struct buf unsent;
    bool is_held;     /* `unsent` was not offered to the kernel yet: it goes with what comes next */
    bool is_counted;  /* the backend has accepted us, which was counted as a handshake */
    struct buf early; /* plaintext that came before there was a caller to have it */
    struct addr addr;
    /* A reference: where what the session leaves goes; may be NULL. */
    struct resumption *resumption;
};

/* Sends `flight` behind what is unsent or was held, keeps what the kernel does not take, and leaves
 * `flight` empty. Returns -1, with errno set, when the socket or memory failed. */
int upstream_send(struct upstream *upstream, struct buf *flight);

/* The same where the upstream is closed at once, if all was taken. */
int upstream_send_last(struct upstream *upstream, struct buf *flight);

/* Keeps `flight`, and leaves it empty, to be sent together with what comes next, or by
 * upstream_flush(); nothing may be unsent. Returns -1 with errno set when memory is out. */
int upstream_hold(struct upstream *upstream, struct buf *flight);

/* True while the kernel does not take what is unsent. */
bool upstream_is_blocked(const struct upstream *upstream);

/* Sends what is unsent, as far as the kernel takes it. Returns -1 with errno set. */
int upstream_flush(struct upstream *upstream);

/* Takes what the backend sent, decrypts it into `plain`, as tls_read(), and keeps what it leaves
 * for sessions to come; one that the backend refuses behind a full handshake leaves nothing, nor do
 * those before it. */
enum tls_status upstream_read(struct upstream *upstream, struct tls_input *in, struct buf *out,
                              uint8_t *plain, size_t size, size_t *ret_len);

/* Closes and frees all of it. With `abort` the backend sees a reset, not an end of file. Accepts an
 * upstream that was never opened. */
void upstream_close(struct upstream *upstream, bool abort);
