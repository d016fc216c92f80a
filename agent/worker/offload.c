#include "worker/offload.h"

#include "worker/headroom.h"
#include "worker/scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct offload {
    struct job *job;
    struct tls *tls; /* owned */
    uint8_t *bytes;
    struct tls_input in; /* what is left of them */
    struct buf flight;
    int error;
    enum tls_status status;
    offload_done *done;
    void *ctx;
};

static void discard(void *ctx)
{
    struct offload *offload = ctx;
    tls_free(offload->tls);
    buf_release(&offload->flight);
    free(offload->bytes);
    free(offload);
}

/* What several threads see at once, each of them may find gone: so they do not begin where memory
 * is scarce. */
static void work(void *ctx)
{
    struct offload *offload = ctx;
    if (!headroom_is_ample()) {
        offload->error = ENOMEM;
        return;
    }
    offload->status = tls_handshake(offload->tls, &offload->in, &offload->flight);
}

static void done(void *ctx)
{
    struct offload *offload = ctx;
    struct tls *tls = offload->tls;
    offload->tls = NULL;
    offload->done(offload->ctx, tls, offload->error, offload->status, &offload->in,
                  &offload->flight);
    discard(offload);
}

/* Without the session. */
static struct offload *make(const struct tls_input *in)
{
    struct offload *offload = calloc(1, sizeof(*offload));
    if (offload == NULL) {
        return NULL;
    }
    buf_init(&offload->flight, SCRATCH_CIPHER_MAX);
    offload->bytes = malloc(in->len + 1); /* of nothing, too, it is something */
    if (offload->bytes == NULL) {
        discard(offload);
        return NULL;
    }
    if (in->len > 0) {
        memcpy(offload->bytes, in->bytes, in->len);
    }
    offload->in = (struct tls_input){offload->bytes, in->len};
    return offload;
}

struct offload *offload_start(struct jobs *jobs, struct job_turn turn, struct tls *tls,
                              const struct tls_input *in, offload_done *on_done, void *ctx)
{
    static const struct job_plan plan = {work, done, discard};
    struct offload *offload = make(in);
    if (offload == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    offload->done = on_done;
    offload->ctx = ctx;
    offload->tls = tls;
    offload->job = jobs_add(jobs, turn, &plan, offload);
    if (offload->job == NULL) {
        int error = errno;
        offload->tls = NULL;
        discard(offload);
        errno = error;
        return NULL;
    }
    return offload;
}

struct offload *offload_cancel(struct offload *offload)
{
    if (offload != NULL) {
        job_cancel(offload->job);
    }
    return NULL;
}
