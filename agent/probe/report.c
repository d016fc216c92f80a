#include "probe/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool report_is_good(const struct report *report)
{
    for (size_t i = 0; i < report->n_services; i++) {
        if (report->services[i].verdict.reason != REASON_ok) {
            return false;
        }
    }
    return true;
}

void report_warn(struct report_service *service, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        return;
    }
    char **warnings =
        reallocarray(service->warnings, service->n_warnings + 1, sizeof(service->warnings[0]));
    if (warnings == NULL) {
        free(text);
        return;
    }
    service->warnings = warnings;
    service->warnings[service->n_warnings++] = text;
}

bool report_is_worth_a_mark(const struct inspect_facts *facts, time_t now)
{
    return now < facts->not_before || inspect_days_left(facts, now) < REPORT_SOON_DAYS;
}

/* How far a visit came. */
static int progress(const struct report_endpoint *endpoint)
{
    if (endpoint->failure.reason == REASON_ok) {
        return 3;
    }
    return endpoint->is_established ? 2 : endpoint->connect_us > 0 ? 1 : 0;
}

/* The agent moves on to the next address until a session is established, and not behind that. */
static const struct report_endpoint *find_dead_end(const struct report_service *service)
{
    for (size_t i = 0; i < service->n_endpoints; i++) {
        const struct report_endpoint *endpoint = &service->endpoints[i];
        if (endpoint->failure.reason == REASON_ok) {
            return NULL;
        }
        if (endpoint->is_established) {
            return endpoint;
        }
    }
    return NULL;
}

const struct report_endpoint *report_spokesman(const struct report_service *service)
{
    const struct report_endpoint *dead_end = find_dead_end(service), *best = service->asked;
    for (size_t i = 0; i < service->n_endpoints; i++) {
        if (best == NULL || progress(&service->endpoints[i]) > progress(best)) {
            best = &service->endpoints[i];
        }
    }
    return dead_end != NULL ? dead_end : best;
}

void report_endpoint_release(struct report_endpoint *endpoint)
{
    free(endpoint->group);
    free(endpoint->alpn);
    evidence_release(&endpoint->evidence);
    *endpoint = (struct report_endpoint){0};
    evidence_init(&endpoint->evidence);
    failure_set(&endpoint->failure, REASON_internal, "out of memory");
}

void report_http_release(struct report_http *http)
{
    free(http->method);
    free(http->url);
    free(http->server);
    free(http->failure);
    *http = (struct report_http){0};
}

static void release_host(struct report_host *host)
{
    free(host->failure);
    free(host->addrs);
    free(host->ttls_s);
    free(host->aliases);
}

static void release_service(struct report_service *service)
{
    for (size_t i = 0; service->hosts != NULL && i < service->n_hosts; i++) {
        release_host(&service->hosts[i]);
    }
    for (size_t i = 0; i < service->n_endpoints; i++) {
        report_endpoint_release(&service->endpoints[i]);
    }
    for (size_t i = 0; i < service->n_warnings; i++) {
        free(service->warnings[i]);
    }
    free(service->hosts);
    free(service->endpoints);
    free(service->warnings);
    report_http_release(&service->http);
}

struct report *report_free(struct report *report)
{
    if (report != NULL) {
        for (size_t i = 0; report->services != NULL && i < report->n_services; i++) {
            release_service(&report->services[i]);
        }
        free(report->services);
        free(report);
    }
    return NULL;
}
