#include "status/reply.h"

#include "status/exposition.h"
#include "status/json.h"
#include "status/metrics.h"
#include "status/page.h"
#include "status/writer.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_TYPE "text/plain; charset=utf-8"
#define JSON_TYPE "application/json"
#define HTML_TYPE "text/html; charset=utf-8"

bool reply_shows(enum route route)
{
    return route == ROUTE_PAGE || route == ROUTE_STATUS || route == ROUTE_METRICS ||
           route == ROUTE_READY;
}

void reply_text(unsigned status, const char *text, struct reply *ret_reply)
{
    *ret_reply = (struct reply){.status = status, .type = TEXT_TYPE};
    ret_reply->body = strdup(text);
    ret_reply->len = strlen(text);
}

void reply_json(unsigned status, char *json, struct reply *ret_reply)
{
    *ret_reply = (struct reply){.status = status, .type = JSON_TYPE, .body = json};
    ret_reply->len = json != NULL ? strlen(json) : 0;
}

static void reply_written(const char *type, struct writer *writer, struct reply *ret_reply)
{
    *ret_reply = (struct reply){.status = 200, .type = type};
    ret_reply->body = writer_take(writer, &ret_reply->len);
}

static void make_metrics(const struct view *view, struct reply *ret_reply)
{
    struct writer writer = {0};
    metrics_write(view, &writer);
    reply_written(EXPOSITION_TYPE, &writer, ret_reply);
}

static void make_page(const struct view *view, struct reply *ret_reply)
{
    struct writer writer = {0};
    page_write(view, &writer);
    reply_written(HTML_TYPE, &writer, ret_reply);
}

static void tell_missing(const struct view_service *service, struct writer *writer)
{
    writer_add(writer, service->config->name);
    writer_add(writer, ": no address");
    if (service->dns_failure != NULL) {
        writer_add(writer, ": ");
        writer_untrusted(writer, service->dns_failure, NULL);
    }
    writer_add(writer, "\n");
}

/* 503 with a line for each reason. */
static void make_ready(const struct view *view, struct reply *ret_reply)
{
    if (view_is_ready(view)) {
        reply_text(200, "ok\n", ret_reply);
        return;
    }
    struct writer writer = {0};
    if (view->is_draining) {
        writer_add(&writer, "the agent drains\n");
    }
    for (size_t i = 0; i < view->n_services; i++) {
        if (!view_has_address(&view->services[i])) {
            tell_missing(&view->services[i], &writer);
        }
    }
    reply_written(TEXT_TYPE, &writer, ret_reply);
    ret_reply->status = 503;
}

static void make_refusal(enum route route, struct reply *ret_reply)
{
    switch (route) {
    case ROUTE_METHOD_GET:
        reply_text(405, "only GET and HEAD\n", ret_reply);
        ret_reply->allow = "GET, HEAD";
        return;
    case ROUTE_METHOD_POST:
        reply_text(405, "only POST\n", ret_reply);
        ret_reply->allow = "POST";
        return;
    case ROUTE_NOT_FROM_TCP:
        reply_text(403, "only by the UNIX socket: mtls-agent reload\n", ret_reply);
        return;
    case ROUTE_OTHER_HOST:
        reply_text(403, "this is localhost, and answers to no other name\n", ret_reply);
        return;
    default:
        reply_text(404, "there is: / /status /metrics /healthz /readyz\n", ret_reply);
    }
}

void reply_make(enum route route, const struct view *view, struct reply *ret_reply)
{
    switch (route) {
    case ROUTE_PAGE:
        make_page(view, ret_reply);
        return;
    case ROUTE_STATUS:
        reply_json(200, json_status(view), ret_reply);
        return;
    case ROUTE_METRICS:
        make_metrics(view, ret_reply);
        return;
    case ROUTE_HEALTH:
        reply_text(200, "ok\n", ret_reply);
        return;
    case ROUTE_READY:
        make_ready(view, ret_reply);
        return;
    default:
        make_refusal(route, ret_reply);
    }
}
