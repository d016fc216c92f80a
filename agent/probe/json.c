#include "probe/json.h"

#include "base/escape.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* A value is NULL when memory is out, and so is what it should have become a part of, up to the
 * root: set() and append() see to that. */

#define SCHEMA_VERSION 1

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Copies a text, which need not be UTF-8. NULL is null. */
static json_t *text(const char *untrusted)
{
    if (untrusted == NULL) {
        return json_null();
    }
    char *valid = malloc(strlen(untrusted) * strlen(REPLACEMENT) + 1);
    if (valid == NULL) {
        return NULL;
    }
    char *end = valid;
    while (*untrusted != '\0') {
        char escaped[ESCAPE_MAX];
        size_t len = escape_next(untrusted, ESCAPE_JSON, escaped);
        bool is_valid = len > 1 || (unsigned char)*untrusted < 0x80;
        end = is_valid ? mempcpy(end, untrusted, len)
                       : mempcpy(end, REPLACEMENT, strlen(REPLACEMENT));
        untrusted += len;
    }
    *end = '\0';
    json_t *string = json_string(valid);
    free(valid);
    return string;
}

/* As text(); an empty one is null too. */
static json_t *clause(const char *untrusted)
{
    return text(untrusted != NULL && *untrusted != '\0' ? untrusted : NULL);
}

/* 0 stands for what did not happen. */
static json_t *seconds(uint64_t us)
{
    return us != 0 ? json_real((double)us / 1e6) : json_null();
}

/* RFC 3339, in UTC; null for a year that it cannot write. */
static json_t *date(time_t when)
{
    char digits[32];
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL || utc.tm_year + 1900 < 0 || utc.tm_year + 1900 > 9999) {
        return json_null();
    }
    strftime(digits, sizeof(digits), "%m-%dT%H:%M:%SZ", &utc);
    return json_sprintf("%04d-%s", utc.tm_year + 1900, digits);
}

/* Adds a value, which it takes over. */
static void set(json_t **object, const char *key, json_t *value)
{
    if (json_object_set_new(*object, key, value) < 0) {
        json_decref(*object);
        *object = NULL;
    }
}

static void append(json_t **array, json_t *value)
{
    if (json_array_append_new(*array, value) < 0) {
        json_decref(*array);
        *array = NULL;
    }
}

/* A link that works has nobody to blame. */
static json_t *side(const struct failure *failure)
{
    return failure->reason != REASON_ok
               ? text(reason_side_word(reason_side(failure->reason, failure->by_peer)))
               : json_null();
}

static json_t *address(const struct addr *addr)
{
    char written[ADDR_TEXT_MAX];
    return addr->len != 0 ? text(addr_format(addr, written)) : json_null();
}

/* The address without its port. */
static json_t *ip(const struct addr *addr)
{
    char written[ADDR_TEXT_MAX];
    bool is_ip =
        getnameinfo(&addr->sa, addr->len, written, sizeof(written), NULL, 0, NI_NUMERICHOST) == 0;
    return is_ip ? text(written) : json_null();
}

static json_t *make_certificate(const struct inspect_facts *facts, time_t now)
{
    long days_left = inspect_days_left(facts, now);
    json_t *object = json_object();
    set(&object, "subject", text(facts->subject));
    set(&object, "issuer", text(facts->issuer));
    set(&object, "names", clause(facts->names));
    set(&object, "not_before", date(facts->not_before));
    set(&object, "not_after", date(facts->not_after));
    set(&object, "days_left", json_integer(days_left));
    set(&object, "soon", json_boolean(report_is_worth_a_mark(facts, now)));
    return object;
}

/* Null for none. */
static json_t *make_certificates(const struct inspect_facts *facts, size_t n, time_t now)
{
    if (facts == NULL) {
        return json_null();
    }
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        append(&array, make_certificate(&facts[i], now));
    }
    return array;
}

static json_t *make_chain(const struct evidence *evidence, time_t now)
{
    json_t *array = json_array();
    for (size_t i = 0; i < evidence->n_chain; i++) {
        append(&array, make_certificate(&evidence->chain[i], now));
    }
    return array;
}

static json_t *make_addresses(const struct report_host *host)
{
    json_t *array = json_array();
    for (size_t i = 0; i < host->n; i++) {
        json_t *object = json_object();
        set(&object, "address", ip(&host->addrs[i]));
        set(&object, "ttl", host->has_ttl ? json_integer(host->ttls_s[i]) : json_null());
        append(&array, object);
    }
    return array;
}

static json_t *make_aliases(const char *names)
{
    json_t *array = json_array();
    while (names != NULL && *names != '\0') {
        size_t len = strcspn(names, " ");
        char *name = strndup(names, len);
        append(&array, name != NULL ? text(name) : NULL);
        free(name);
        names += len;
        names += strspn(names, " ");
    }
    return array;
}

static json_t *make_host(const struct report_host *host)
{
    json_t *object = json_object();
    set(&object, "host", text(host->address->host));
    set(&object, "port", json_integer(host->address->port));
    set(&object, "addresses", make_addresses(host));
    set(&object, "aliases", make_aliases(host->aliases));
    set(&object, "ttl", host->has_ttl ? json_integer(host->ttl_s) : json_null());
    set(&object, "failure", text(host->failure));
    set(&object, "seconds", seconds(host->duration_us));
    return object;
}

static json_t *make_tls(const struct report_endpoint *endpoint)
{
    if (endpoint->version == NULL) {
        return json_null();
    }
    json_t *object = json_object();
    set(&object, "version", text(endpoint->version));
    set(&object, "cipher", text(endpoint->cipher));
    set(&object, "group", text(endpoint->group));
    set(&object, "alpn", text(endpoint->alpn));
    return object;
}

static json_t *make_client_certificate(const struct evidence *evidence)
{
    json_t *object = json_object();
    set(&object, "asked", json_boolean(evidence->asked));
    set(&object, "sent", json_boolean(evidence->sent));
    set(&object, "issuer_matched", json_boolean(evidence->issuer_matched));
    set(&object, "accepted_issuers", text(evidence->accepted));
    return object;
}

static json_t *make_resumption(enum report_resumption resumption)
{
    static const char *const words[] = {
        [RESUMPTION_UNTRIED] = NULL,
        [RESUMPTION_WORKS] = "works",
        [RESUMPTION_NO_TICKET] = "no_ticket",
        [RESUMPTION_DECLINED] = "declined",
    };
    return text(words[resumption]);
}

static json_t *make_endpoint(const struct report_endpoint *endpoint, time_t now)
{
    const struct evidence *evidence = &endpoint->evidence;
    json_t *object = json_object();
    set(&object, "address", address(&endpoint->addr));
    set(&object, "host", text(endpoint->address->host));
    set(&object, "reason", text(reason_word(endpoint->failure.reason)));
    set(&object, "side", side(&endpoint->failure));
    set(&object, "detail", clause(endpoint->failure.detail));
    set(&object, "connect_seconds", seconds(endpoint->connect_us));
    set(&object, "handshake_seconds", seconds(endpoint->handshake_us));
    set(&object, "established", json_boolean(endpoint->is_established));
    set(&object, "confirmed", json_boolean(endpoint->is_confirmed));
    set(&object, "tls", make_tls(endpoint));
    set(&object, "client_certificate", make_client_certificate(evidence));
    set(&object, "alert", evidence->alert >= 0 ? json_integer(evidence->alert) : json_null());
    set(&object, "resumption", make_resumption(endpoint->resumption));
    set(&object, "chain", make_chain(evidence, now));
    set(&object, "pin", clause(evidence->pin));
    return object;
}

static json_t *make_http(const struct report_http *http)
{
    if (!http->was_tried) {
        return json_null();
    }
    json_t *object = json_object();
    set(&object, "method", text(http->method));
    set(&object, "url", text(http->url));
    set(&object, "via_agent", json_boolean(http->via_agent));
    set(&object, "address", address(&http->addr));
    set(&object, "status", http->status != 0 ? json_integer(http->status) : json_null());
    set(&object, "version", text(http->version));
    set(&object, "server", text(http->server));
    set(&object, "failure", text(http->failure));
    set(&object, "seconds", seconds(http->duration_us));
    return object;
}

static json_t *make_warnings(const struct report_service *service)
{
    json_t *array = json_array();
    for (size_t i = 0; i < service->n_warnings; i++) {
        append(&array, text(service->warnings[i]));
    }
    return array;
}

static json_t *make_hosts(const struct report_service *service)
{
    json_t *array = json_array();
    for (size_t i = 0; i < service->n_hosts; i++) {
        append(&array, make_host(&service->hosts[i]));
    }
    return array;
}

static json_t *make_endpoints(const struct report_service *service, time_t now)
{
    json_t *array = json_array();
    for (size_t i = 0; i < service->n_endpoints; i++) {
        append(&array, make_endpoint(&service->endpoints[i], now));
    }
    return array;
}

static json_t *make_service(const struct report_service *service, time_t now)
{
    const struct failure *verdict = &service->verdict;
    bool is_good = verdict->reason == REASON_ok;
    json_t *object = json_object();
    set(&object, "service", text(service->service->name));
    set(&object, "good", json_boolean(is_good));
    set(&object, "verdict", text(reason_word(verdict->reason)));
    set(&object, "side", side(verdict));
    set(&object, "detail", clause(verdict->detail));
    set(&object, "advice", is_good ? json_null() : text(service->advice));
    set(&object, "warnings", make_warnings(service));
    set(&object, "dns", make_hosts(service));
    set(&object, "endpoints", make_endpoints(service, now));
    set(&object, "certificate", make_certificates(service->own, service->n_own, now));
    set(&object, "ca", make_certificates(service->cas, service->n_cas, now));
    set(&object, "http", make_http(&service->http));
    return object;
}

static json_t *make_document(const struct report *report)
{
    json_t *services = json_array();
    for (size_t i = 0; i < report->n_services; i++) {
        append(&services, make_service(&report->services[i], report->when));
    }
    json_t *object = json_object();
    set(&object, "version", json_integer(SCHEMA_VERSION));
    set(&object, "time", date(report->when));
    set(&object, "good", json_boolean(report_is_good(report)));
    set(&object, "services", services);
    return object;
}

/* ASCII, for some characters beyond it act on a terminal; nine digits tell a nanosecond. */
int json_print(const struct report *report, FILE *out)
{
    json_t *root = make_document(report);
    if (root == NULL) {
        return -1;
    }
    int rc = json_dumpf(root, out, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    json_decref(root);
    return rc < 0 || fputc('\n', out) == EOF || fflush(out) != 0 || ferror(out) ? -1 : 0;
}

const char *json_library_version(void)
{
    return jansson_version_str();
}
