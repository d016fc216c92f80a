#include "worker/verdict.h"

#include "net/socket.h"
#include "worker/relay_fields.h"

#include <string.h>

void verdict_conclude(struct relay *relay)
{
    relay->over = true;
}

void verdict_end(struct relay *relay, enum reason reason, const char *detail)
{
    if (!relay->over) {
        failure_set(&relay->failure, reason, "%s", detail);
        verdict_conclude(relay);
    }
}

#define UNKNOWN SIZE_MAX

/* Bytes of streams that have come to their end here, but not yet there. */
static size_t undelivered(const struct relay *relay)
{
    size_t n = 0;
    if (relay->upstream_finished || relay->failing) {
        n += buf_len(&relay->to_caller) + socket_unacknowledged(watch_fd(relay->caller));
    }
    if (relay->caller_finished) {
        n += buf_len(&relay->upstream.unsent) +
             socket_unacknowledged(watch_fd(relay->upstream.watch));
    }
    return n;
}

void verdict_start_closing(struct relay *relay)
{
    relay->undelivered = UNKNOWN; /* most connections are over before it matters */
    if (relay->close_by_ms == 0) {
        relay->close_by_ms = uv_now(&relay->worker->loop) + relay->service->close_timeout_ms;
    }
}

void verdict_look_at_closing(struct relay *relay)
{
    size_t left = undelivered(relay);
    if (relay->undelivered != UNKNOWN && left < relay->undelivered) {
        relay->close_by_ms = uv_now(&relay->worker->loop) + relay->service->close_timeout_ms;
    }
    relay->undelivered = left;
}

void verdict_fail_upstream(struct relay *relay, const struct failure *failure)
{
    if (!relay->failing && !relay->over) {
        relay->failing = true;
        relay->failure = *failure;
        verdict_start_closing(relay);
    }
}

void verdict_fail_transport(struct relay *relay, int error)
{
    tls_end(relay->upstream.tls, error);
    verdict_fail_upstream(relay, tls_failure(relay->upstream.tls));
}

void verdict_fail_caller(struct relay *relay, int error)
{
    if (!relay->failing) {
        verdict_end(relay, REASON_caller_reset, strerror(error));
    } else {
        verdict_conclude(
            relay); /* the backend's failure is the reason; there is nobody left to tell */
    }
}
