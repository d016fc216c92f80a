#include "status/metrics_service.h"

#include "status/exposition.h"

/* What is written, and where to. */
struct scribe {
    struct exposition exposition;
    const struct view *view;
};

static uint64_t count_of(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void begin_service(struct scribe *scribe, const struct view_service *service)
{
    exposition_begin(&scribe->exposition, "");
    exposition_label(&scribe->exposition, "service", service->config->name);
}

static void write_value(struct scribe *scribe, const struct view_service *service, uint64_t value)
{
    begin_service(scribe, service);
    exposition_value(&scribe->exposition, value);
}

static void write_when(struct scribe *scribe, const struct view_service *service,
                       const _Atomic(uint64_t) *ms)
{
    time_t when = view_when(scribe->view, count_of(ms));
    if (when != 0) {
        begin_service(scribe, service);
        exposition_time(&scribe->exposition, when);
    }
}

static void write_reason(struct scribe *scribe, const struct view_service *service,
                         enum reason reason, bool by_peer, uint64_t count)
{
    if (count == 0) {
        return;
    }
    struct exposition *to = &scribe->exposition;
    begin_service(scribe, service);
    exposition_label(to, "reason", reason_word(reason));
    exposition_label(to, "side", reason_side_word(reason_side(reason, by_peer)));
    exposition_value(to, count);
}

static void write_tally(struct scribe *scribe, const struct view_service *service,
                        const struct tally *tally)
{
    for (enum reason reason = 0; reason < REASON_COUNT; reason++) {
        if (reason_side(reason, false) == reason_side(reason, true)) {
            write_reason(scribe, service, reason, false, tally_count(tally, reason));
        } else {
            write_reason(scribe, service, reason, false, tally_count_by(tally, reason, false));
            write_reason(scribe, service, reason, true, tally_count_by(tally, reason, true));
        }
    }
}

static void write_state(struct scribe *scribe, const struct view_service *service)
{
    for (enum view_state state = VIEW_UNUSED; state <= VIEW_NO_ADDRESS; state++) {
        begin_service(scribe, service);
        exposition_label(&scribe->exposition, "state", view_state_word(state));
        exposition_value(&scribe->exposition, service->state == state);
    }
}

static void write_held(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, service->held != NULL);
}

static void write_opened(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, count_of(&service->account->opened));
}

static void write_active(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, count_of(&service->account->open));
}

static void write_limit(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, service->config->max_connections);
}

static void write_ended(struct scribe *scribe, const struct view_service *service)
{
    write_tally(scribe, service, service->account->connections);
}

static void write_sent(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, count_of(&service->account->sent));
}

static void write_received(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, count_of(&service->account->received));
}

static void write_handshakes(struct scribe *scribe, const struct view_service *service)
{
    struct exposition *to = &scribe->exposition;
    begin_service(scribe, service);
    exposition_label(to, "kind", "full");
    exposition_value(to, count_of(&service->account->full));
    begin_service(scribe, service);
    exposition_label(to, "kind", "resumed");
    exposition_value(to, count_of(&service->account->resumed));
}

static void write_warm(struct scribe *scribe, const struct view_service *service)
{
    if (view_is_prewarmed(service)) {
        write_value(scribe, service, count_of(&service->account->warm.ready));
    }
}

static void write_warm_ended(struct scribe *scribe, const struct view_service *service)
{
    const struct account_warm *warm = &service->account->warm;
    const struct {
        const char *result;
        const _Atomic(uint64_t) *count;
    } results[] = {{"used", &warm->used},
                   {"aged", &warm->aged},
                   {"closed", &warm->closed},
                   {"failed", &warm->failed},
                   {"dropped", &warm->dropped}};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]) && view_is_prewarmed(service);
         i++) {
        begin_service(scribe, service);
        exposition_label(&scribe->exposition, "result", results[i].result);
        exposition_value(&scribe->exposition, count_of(results[i].count));
    }
}

static void write_handshakes_failed(struct scribe *scribe, const struct view_service *service)
{
    write_tally(scribe, service, service->account->handshakes);
}

static void write_attempts_failed(struct scribe *scribe, const struct view_service *service)
{
    write_tally(scribe, service, service->account->attempts);
}

static void write_connecting(struct scribe *scribe, const struct view_service *service)
{
    exposition_histogram(&scribe->exposition, "service", service->config->name,
                         &service->account->connecting);
}

static void write_handshaking(struct scribe *scribe, const struct view_service *service)
{
    exposition_histogram(&scribe->exposition, "service", service->config->name,
                         &service->account->handshaking);
}

static void write_succeeded(struct scribe *scribe, const struct view_service *service)
{
    write_when(scribe, service, &service->account->succeeded_ms);
}

static void write_failed(struct scribe *scribe, const struct view_service *service)
{
    write_when(scribe, service, &service->account->failed_ms);
}

static void write_endpoints(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, service->endpoints != NULL ? service->endpoints->n : 0);
}

static void write_dns_age(struct scribe *scribe, const struct view_service *service)
{
    if (service->dns_age_ms >= 0) {
        begin_service(scribe, service);
        exposition_seconds(&scribe->exposition, (uint64_t)service->dns_age_ms * 1000);
    }
}

static void write_dns_failing(struct scribe *scribe, const struct view_service *service)
{
    write_value(scribe, service, service->dns_failure != NULL);
}

static void write_backend_not_after(struct scribe *scribe, const struct view_service *service)
{
    int64_t not_after =
        atomic_load_explicit(&service->account->backend_not_after, memory_order_relaxed);
    if (not_after != 0) {
        begin_service(scribe, service);
        exposition_time(&scribe->exposition, not_after);
    }
}

/* Families whose samples are those of one service after the other. */
static const struct {
    const char *name, *type, *help;
    void (*write)(struct scribe *scribe, const struct view_service *service);
} families[] = {
    {"mtls_agent_service_state", EXPOSITION_GAUGE, "1 for the state that a service is in.",
     write_state},
    {"mtls_agent_service_held", EXPOSITION_GAUGE,
     "1 while a backend refuses a new certificate or CA of ours, and the old is kept in use.",
     write_held},
    {"mtls_agent_connections_opened_total", EXPOSITION_COUNTER, "Connections of callers.",
     write_opened},
    {"mtls_agent_connections_active", EXPOSITION_GAUGE, "Connections of callers that are open.",
     write_active},
    {"mtls_agent_connections_limit", EXPOSITION_GAUGE,
     "Connections of callers that may be open at once.", write_limit},
    {"mtls_agent_connections_ended_total", EXPOSITION_COUNTER,
     "Connections of callers, by how they ended.", write_ended},
    {"mtls_agent_sent_bytes_total", EXPOSITION_COUNTER, "Plaintext to the backends.", write_sent},
    {"mtls_agent_received_bytes_total", EXPOSITION_COUNTER, "Plaintext from the backends.",
     write_received},
    {"mtls_agent_handshakes_total", EXPOSITION_COUNTER, "TLS handshakes that were good.",
     write_handshakes},
    {"mtls_agent_handshakes_failed_total", EXPOSITION_COUNTER,
     "TLS handshakes that failed, by reason.", write_handshakes_failed},
    {"mtls_agent_warm_sessions", EXPOSITION_GAUGE, "Sessions that are kept ready for callers.",
     write_warm},
    {"mtls_agent_warm_sessions_ended_total", EXPOSITION_COUNTER,
     "Sessions made ahead of the callers, by what became of them.", write_warm_ended},
    {"mtls_agent_attempts_failed_total", EXPOSITION_COUNTER,
     "Attempts to reach a backend that failed, handshakes included, by reason.",
     write_attempts_failed},
    {"mtls_agent_connect_duration_seconds", EXPOSITION_HISTOGRAM, "How long TCP took to connect.",
     write_connecting},
    {"mtls_agent_handshake_duration_seconds", EXPOSITION_HISTOGRAM,
     "How long good TLS handshakes took.", write_handshaking},
    {"mtls_agent_last_success_timestamp_seconds", EXPOSITION_GAUGE,
     "When a handshake was last good.", write_succeeded},
    {"mtls_agent_last_failure_timestamp_seconds", EXPOSITION_GAUGE,
     "When a backend last could not be reached or was lost.", write_failed},
    {"mtls_agent_endpoints", EXPOSITION_GAUGE, "Addresses of backends that are known.",
     write_endpoints},
    {"mtls_agent_dns_age_seconds", EXPOSITION_GAUGE,
     "Since the last good DNS answer, of the name for which that is longest ago.", write_dns_age},
    {"mtls_agent_dns_failing", EXPOSITION_GAUGE, "1 when the last DNS question failed.",
     write_dns_failing},
    {"mtls_agent_backend_not_after_seconds", EXPOSITION_GAUGE,
     "Until when the backend's certificate that was seen last is valid, seconds since 1970.",
     write_backend_not_after},
};

void metrics_write_services(const struct view *view, struct writer *out)
{
    struct scribe scribe = {.exposition = {.out = out}, .view = view};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        exposition_family(&scribe.exposition, families[i].name, families[i].type, families[i].help);
        for (size_t k = 0; k < view->n_services; k++) {
            families[i].write(&scribe, &view->services[k]);
        }
    }
}
