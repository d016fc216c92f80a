#include "probe/probe.h"

#include <assert.h>
#include <stdlib.h>

/* Services under way at once: what waits for a dead one is little, what a handshake costs is not.
 */
#define PARALLEL_MAX 32

#define CLOCK_MS 100

struct probe;

/* One service. */
struct slot {
    struct probe *probe;
    size_t index; /* in the report */
    struct inquiry *inquiry;
};

struct probe {
    uv_loop_t loop;
    uv_timer_t clock;
    struct scratch scratch;
    struct inquiry_means means;
    const struct snapshot *snapshot;
    struct report *report;
    const struct probe_events *events;
    void *ctx;

    struct slot *slots; /* one for each service of the report */
    size_t n_begun, n_over;
};

/* ---- the report ---- */

static void describe_certificates(const struct snapshot *snapshot, size_t i,
                                  struct report_service *report)
{
    const struct config_service *service = report->service;
    if (service->certificate != NULL) {
        report->own = identity_facts(snapshot_identity(snapshot, i), &report->n_own);
    }
    report->cas = trust_facts(snapshot_trust(snapshot, i), &report->n_cas);
    if (report->n_cas == 0) {
        report->cas = NULL;
    }
}

/* Says what service `i` of the snapshot is. Returns -1 when memory is out. */
static int describe(const struct snapshot *snapshot, size_t i, struct report_service *report)
{
    const struct config_service *service = &snapshot->config->services[i];
    report->service = service;
    report->hosts = calloc(service->n_addresses, sizeof(report->hosts[0]));
    if (report->hosts == NULL) {
        return -1;
    }
    report->n_hosts = service->n_addresses;
    for (size_t k = 0; k < service->n_addresses; k++) {
        report->hosts[k].address = &service->addresses[k];
    }
    describe_certificates(snapshot, i, report);
    return 0;
}

/* Returns -1 when memory is out. */
static int describe_chosen(const struct snapshot *snapshot, const bool *chosen,
                           struct report *report)
{
    size_t n = snapshot->config->n_services;
    report->services = calloc(n, sizeof(report->services[0]));
    if (report->services == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (chosen[i] && describe(snapshot, i, &report->services[report->n_services++]) < 0) {
            return -1;
        }
    }
    return 0;
}

static struct report *make_report(const struct snapshot *snapshot, const bool *chosen)
{
    struct report *report = calloc(1, sizeof(*report));
    if (report == NULL) {
        return NULL;
    }
    report->when = time(NULL);
    return describe_chosen(snapshot, chosen, report) < 0 ? report_free(report) : report;
}

/* ---- the inquiries ---- */

static const struct service *service_of(const struct probe *probe, size_t index)
{
    size_t i = (size_t)(probe->report->services[index].service - probe->snapshot->config->services);
    return probe->snapshot->services[i];
}

static void go_on(struct probe *probe);

static void finish(struct slot *slot)
{
    struct probe *probe = slot->probe;
    probe->n_over++;
    probe->events->heard(probe->ctx, probe->report, slot->index);
}

static void on_done(void *ctx, struct inquiry *inquiry)
{
    struct slot *slot = ctx;
    struct probe *probe = slot->probe;
    slot->inquiry = inquiry_end(inquiry);
    finish(slot);
    go_on(probe);
}

static void begin(struct slot *slot)
{
    struct probe *probe = slot->probe;
    struct report_service *report = &probe->report->services[slot->index];
    slot->inquiry =
        inquiry_start(&probe->means, service_of(probe, slot->index), report, on_done, slot);
    if (slot->inquiry == NULL) {
        failure_set(&report->verdict, REASON_internal, "out of memory");
        report->advice = reason_advice(REASON_internal);
        finish(slot);
    }
}

/* Begins as many services as may be under way. Behind the last one nothing is left to ask DNS, and
 * without that the loop comes to its end. */
static void go_on(struct probe *probe)
{
    size_t n = probe->report->n_services;
    while (probe->n_begun < n && probe->n_begun - probe->n_over < PARALLEL_MAX) {
        struct slot *slot = &probe->slots[probe->n_begun];
        *slot = (struct slot){probe, probe->n_begun, NULL};
        probe->n_begun++;
        begin(slot);
    }
    if (probe->n_over == n) {
        uv_close((uv_handle_t *)&probe->clock, NULL);
        probe->means.dns = dns_free(probe->means.dns);
    }
}

/* ---- life ---- */

static void on_clock(uv_timer_t *clock)
{
    struct probe *probe = clock->data;
    probe->events->waiting(probe->ctx, probe->report);
}

/* Returns -1 when memory is out. */
static int set_up(struct probe *probe, const struct inquiry_options *options)
{
    bool has_scratch = scratch_init(&probe->scratch) == 0;
    probe->slots = calloc(probe->report->n_services, sizeof(probe->slots[0]));
    probe->means =
        (struct inquiry_means){&probe->loop, dns_new(&probe->loop), &probe->scratch, options};
    return has_scratch && probe->slots != NULL && probe->means.dns != NULL ? 0 : -1;
}

static void run(struct probe *probe, const struct inquiry_options *options)
{
    if (set_up(probe, options) == 0) {
        uv_timer_init(&probe->loop, &probe->clock);
        probe->clock.data = probe;
        uv_timer_start(&probe->clock, on_clock, CLOCK_MS, CLOCK_MS);
        go_on(probe);
    } else {
        dns_free(probe->means.dns);
        probe->report = report_free(probe->report);
    }
    uv_run(&probe->loop, UV_RUN_DEFAULT);
    scratch_release(&probe->scratch);
    free(probe->slots);
}

struct report *probe_run(const struct snapshot *snapshot, const bool *chosen,
                         const struct inquiry_options *options, const struct probe_events *events,
                         void *ctx)
{
    struct probe probe = {.snapshot = snapshot, .events = events, .ctx = ctx};
    probe.report = make_report(snapshot, chosen);
    if (probe.report == NULL || uv_loop_init(&probe.loop) != 0) {
        return report_free(probe.report);
    }
    run(&probe, options);
    int rc = uv_loop_close(&probe.loop);
    assert(rc == 0); /* or something is still watched that is freed */
    (void)rc;
    return probe.report;
}
