/* One handshake with one endpoint, as a service would make it, and what the backend made of us. No
 * byte of plaintext is sent; where the backend accepts, it hears a goodbye. */
#pragma once

#include "base/failure.h"
#include "worker/endpoints.h"
#include "worker/scratch.h"
#include "worker/service.h"

#include <uv.h>

struct audition;

enum audition_verdict {
    AUDITION_ACCEPTED,
    AUDITION_UNTOLD,  /* the handshake is good; what the backend thinks of our certificate it kept
                       * to itself: TLS 1.3 allows that */
    AUDITION_REFUSED, /* one of the two sides does not want the other */
    AUDITION_UNHEARD, /* TCP failed, no handshake came about in time, or this host lacked something
                       */
};

/* Called once, and not after audition_cancel(), which it may call. The failure says why it is not
 * AUDITION_ACCEPTED, and is REASON_ok where it is. */
typedef void audition_done(void *ctx, enum audition_verdict verdict, const struct failure *failure);

/* Connects, shakes hands and waits for the backend's word, each in its own time: the service's
 * connect_timeout_ms and handshake_timeout_ms, and a second for the word. A backend that never
 * gives one (a TLS 1.3 server without tickets that lets the client speak first) confirms by
 * answering our close_notify. Nothing is counted for the service, which must outlive this, as must
 * the endpoint. Returns NULL when memory is out. Never calls `done` before it returns. */
struct audition *audition_start(uv_loop_t *loop, struct scratch *scratch,
                                const struct service *service, const struct endpoint *endpoint,
                                audition_done *done, void *ctx);

/* Ends the audition and frees it. Accepts NULL; returns NULL. */
struct audition *audition_cancel(struct audition *audition);
