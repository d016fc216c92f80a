/* A relay's fields, for the files that make it up: relay.c (events and what follows from them),
 * pump.c (bytes) and verdict.c (how it ends). */
#pragma once

#include "base/buf.h"
#include "worker/deadline.h"
#include "worker/relay.h"
#include "worker/worker_fields.h"

struct relay {
    struct worker *worker;
    const struct service *service;
    relay_ended *ended;
    void *ctx;

    struct watch *caller; /* borrowed */
    struct upstream upstream;
    struct buf to_caller; /* plaintext that the caller's kernel has not taken yet */
    struct deadline *deadline;

    uint64_t sent, received;
    uint64_t moved_ms;    /* when a byte last moved, either way */
    uint64_t close_by_ms; /* 0: no side has finished yet */
    uint64_t look_ms;     /* the last wait for the caller's kernel to take the last bytes */
    size_t undelivered;   /* of what finished sides had sent, when that was last looked at */

    bool caller_finished;   /* the caller's end of file was read, and passed on as close_notify */
    bool caller_hung_up;    /* told of while we were not reading */
    bool upstream_finished; /* the backend's stream is complete */
    bool caller_told;       /* and the caller has its end of file */
    bool only_goodbye;      /* what is unsent to the backend is close_notify alone */
    uint64_t heard;         /* what had been received when the caller finished */
    int send_error;         /* of the upstream's socket; its last words are still to be read */

    bool failing; /* the backend's side has failed; it is over once what came before is delivered */
    bool over;
    struct failure failure;
};
