#include "worker/verdict.h"

#include "worker/relay_fields.h"

#include <string.h>

void verdict_end(struct relay *relay, enum reason reason, const char *detail)
{
    if (!relay->over) {
        relay->over = true;
        failure_set(&relay->failure, reason, "%s", detail);
    }
}

void verdict_start_closing(struct relay *relay)
{
    if (relay->close_by_ms == 0) {
        relay->close_by_ms = uv_now(&relay->worker->loop) + relay->service->close_timeout_ms;
    }
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
        relay->over = true; /* the backend's failure is the reason; there is nobody left to tell */
    }
}
