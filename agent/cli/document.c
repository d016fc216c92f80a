#include "cli/document.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Digits that a figure of the agent may have. */
#define PRECISION 15

/* ---- single values ---- */

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int64_t integer(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : DOCUMENT_UNKNOWN;
}

static double seconds(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : -1;
}

/* ---- lists ---- */

/* Makes room for as many as the list has; NULL for an empty one too, with `*is_short` when memory
 * is out. */
static void *list_of(size_t n, size_t size, bool *is_short)
{
    void *list = n > 0 ? calloc(n, size) : NULL;
    *is_short |= n > 0 && list == NULL;
    return list;
}

/* The texts of an array; what is none is left out. */
static struct document_texts take_texts(const json_t *array, bool *is_short)
{
    struct document_texts texts = {
        .list = list_of(json_array_size(array), sizeof(const char *), is_short)};
    for (size_t i = 0; texts.list != NULL && i < json_array_size(array); i++) {
        const char *each = json_string_value(json_array_get(array, i));
        if (each != NULL) {
            texts.list[texts.n++] = each;
        }
    }
    return texts;
}

static struct document_counts take_counts(json_t *object, bool *is_short)
{
    struct document_counts counts = {
        .list = list_of(json_object_size(object), sizeof(struct document_count), is_short)};
    const char *key;
    json_t *value;
    if (counts.list == NULL) {
        return counts;
    }
    json_object_foreach(object, key, value)
    {
        if (json_is_integer(value)) {
            counts.list[counts.n++] = (struct document_count){key, json_integer_value(value)};
        }
    }
    return counts;
}

/* ---- services ---- */

static void take_failure(const json_t *from, struct document_service *service)
{
    service->has_failed = json_is_object(from);
    service->failure = (struct document_failure){
        .time = text(from, "time"),
        .reason = text(from, "reason"),
        .side = text(from, "side"),
        .detail = text(from, "detail"),
        .advice = text(from, "advice"),
        .age_seconds = seconds(from, "age_seconds"),
    };
}

static void take_figures(const json_t *from, struct document_service *service, bool *is_short)
{
    const json_t *connections = json_object_get(from, "connections");
    const json_t *handshakes = json_object_get(from, "handshakes");
    const json_t *bytes = json_object_get(from, "bytes");
    const json_t *days = json_object_get(from, "days_left");
    service->active = integer(connections, "active");
    service->opened = integer(connections, "opened");
    service->limit = integer(connections, "limit");
    service->ended = take_counts(json_object_get(connections, "ended"), is_short);
    service->sent = integer(bytes, "sent");
    service->received = integer(bytes, "received");
    service->full = integer(handshakes, "full");
    service->resumed = integer(handshakes, "resumed");
    service->handshakes_failed = take_counts(json_object_get(handshakes, "failed"), is_short);
    service->warm = take_counts(json_object_get(from, "warm"), is_short);
    service->attempts_failed = take_counts(json_object_get(from, "attempts_failed"), is_short);
    service->days_own = integer(days, "own");
    service->days_ca = integer(days, "ca");
    service->days_backend = integer(days, "backend");
}

static void take_service(const json_t *from, struct document_service *service, bool *is_short)
{
    const json_t *dns = json_object_get(from, "dns");
    service->name = text(from, "name");
    service->state = text(from, "state");
    service->listens = take_texts(json_object_get(from, "listen"), is_short);
    service->addresses = take_texts(json_object_get(from, "address"), is_short);
    service->endpoints = take_texts(json_object_get(from, "endpoints"), is_short);
    service->certificate = text(from, "certificate");
    service->ca = text(from, "ca");
    service->dns_age_seconds = seconds(dns, "age_seconds");
    service->dns_failure = text(dns, "failure");
    service->last_success = text(from, "last_success");
    service->backend_not_after = text(from, "backend_not_after");
    service->held = text(from, "held");
    take_failure(json_object_get(from, "last_failure"), service);
    take_figures(from, service, is_short);
}

static void release_service(struct document_service *service)
{
    free(service->listens.list);
    free(service->addresses.list);
    free(service->endpoints.list);
    free(service->ended.list);
    free(service->handshakes_failed.list);
    free(service->attempts_failed.list);
    free(service->warm.list);
}

/* ---- certificates and CAs ---- */

static struct document_certificate take_certificate(const json_t *from)
{
    return (struct document_certificate){
        .name = text(from, "name"),
        .file = text(from, "file"),
        .subject = text(from, "subject"),
        .issuer = text(from, "issuer"),
        .not_before = text(from, "not_before"),
        .not_after = text(from, "not_after"),
        .days_left = integer(from, "days_left"),
        .problem = text(from, "problem"),
    };
}

static struct document_certificate *take_certificates(const json_t *array, size_t *ret_n,
                                                      bool *is_short)
{
    size_t n = json_array_size(array);
    struct document_certificate *list = list_of(n, sizeof(*list), is_short);
    *ret_n = list != NULL ? n : 0;
    for (size_t i = 0; i < *ret_n; i++) {
        list[i] = take_certificate(json_array_get(array, i));
    }
    return list;
}

static void take_ca(const json_t *from, struct document_ca *ca, bool *is_short)
{
    const json_t *crls = json_object_get(from, "crls");
    ca->file = text(from, "file");
    ca->problem = text(from, "problem");
    ca->certificates =
        take_certificates(json_object_get(from, "certificates"), &ca->n_certificates, is_short);
    ca->crls = list_of(json_array_size(crls), sizeof(*ca->crls), is_short);
    ca->n_crls = ca->crls != NULL ? json_array_size(crls) : 0;
    for (size_t i = 0; i < ca->n_crls; i++) {
        const json_t *each = json_array_get(crls, i);
        ca->crls[i] = (struct document_crl){
            .source = text(each, "source"),
            .issuer = text(each, "issuer"),
            .next_update = text(each, "next_update"),
        };
    }
}

/* ---- the whole ---- */

static void take_process(const json_t *root, struct document *document, bool *is_short)
{
    const json_t *configuration = json_object_get(root, "configuration");
    const json_t *reload = json_object_get(configuration, "last_reload");
    const json_t *process = json_object_get(root, "process");
    document->version = text(root, "version");
    document->state = text(root, "state");
    document->is_ready = json_is_true(json_object_get(root, "ready"));
    document->pid = integer(root, "pid");
    document->workers = integer(root, "workers");
    document->uptime_seconds = seconds(root, "uptime_seconds");
    document->file = text(configuration, "file");
    document->generation = integer(configuration, "generation");
    document->changed = text(configuration, "changed");
    document->reload_time = text(reload, "time");
    document->reload_result = text(reload, "result");
    document->reload_faults = take_texts(json_object_get(reload, "faults"), is_short);
    document->dropped = integer(json_object_get(root, "log"), "dropped");
    document->resident_bytes = integer(process, "resident_bytes");
    document->cpu_seconds = seconds(process, "cpu_seconds");
    document->descriptors = integer(process, "open_descriptors");
    document->max_descriptors = integer(process, "max_descriptors");
}

static void take_all(struct document *document, bool *is_short)
{
    const json_t *services = json_object_get(document->root, "services");
    const json_t *cas = json_object_get(document->root, "cas");
    take_process(document->root, document, is_short);
    document->certificates = take_certificates(json_object_get(document->root, "certificates"),
                                               &document->n_certificates, is_short);
    document->cas = list_of(json_array_size(cas), sizeof(*document->cas), is_short);
    document->n_cas = document->cas != NULL ? json_array_size(cas) : 0;
    for (size_t i = 0; i < document->n_cas; i++) {
        take_ca(json_array_get(cas, i), &document->cas[i], is_short);
    }
    document->services = list_of(json_array_size(services), sizeof(*document->services), is_short);
    document->n_services = document->services != NULL ? json_array_size(services) : 0;
    for (size_t i = 0; i < document->n_services; i++) {
        take_service(json_array_get(services, i), &document->services[i], is_short);
    }
}

/* Reads a JSON object in which `key` stands for all that should be there. */
static json_t *parse(const char *from, size_t len, const char *key, const char **ret_why)
{
    json_t *root = json_loadb(from, len, 0, NULL);
    if (json_object_get(root, key) == NULL) {
        json_decref(root);
        *ret_why = "what answers is not mtls-agent";
        return NULL;
    }
    return root;
}

struct document *document_parse(const char *from, size_t len, const char **ret_why)
{
    bool is_short = false;
    json_t *root = parse(from, len, "services", ret_why);
    if (root == NULL) {
        return NULL;
    }
    struct document *document = calloc(1, sizeof(*document));
    if (document == NULL) {
        json_decref(root);
        *ret_why = "out of memory";
        return NULL;
    }
    document->root = root;
    take_all(document, &is_short);
    if (is_short) {
        *ret_why = "out of memory";
        return document_free(document);
    }
    return document;
}

struct document *document_free(struct document *document)
{
    if (document == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < document->n_services; i++) {
        release_service(&document->services[i]);
    }
    for (size_t i = 0; i < document->n_cas; i++) {
        free(document->cas[i].certificates);
        free(document->cas[i].crls);
    }
    free(document->services);
    free(document->cas);
    free(document->certificates);
    free(document->reload_faults.list);
    json_decref(document->root);
    free(document);
    return NULL;
}

/* The root with some of its services. NULL when memory is out. */
static json_t *filter(const struct document *document, const bool *chosen)
{
    json_t *root = json_copy(document->root);
    json_t *all = json_object_get(document->root, "services");
    json_t *some = json_array();
    for (size_t i = 0; i < document->n_services && some != NULL; i++) {
        if (chosen[i] && json_array_append(some, json_array_get(all, i)) < 0) {
            json_decref(some);
            some = NULL;
        }
    }
    if (json_object_set_new(root, "services", some) < 0) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* ASCII, for some characters beyond it act on a terminal. */
int document_print(const struct document *document, const bool *chosen, FILE *out)
{
    json_t *root = filter(document, chosen);
    if (root == NULL) {
        return -1;
    }
    int rc =
        json_dumpf(root, out, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(PRECISION));
    json_decref(root);
    return rc < 0 || fputc('\n', out) == EOF || fflush(out) != 0 || ferror(out) ? -1 : 0;
}

/* ---- the answer to a reload ---- */

struct document_reload *document_parse_reload(const char *from, size_t len, const char **ret_why)
{
    bool is_short = false;
    json_t *root = parse(from, len, "result", ret_why);
    if (root == NULL) {
        return NULL;
    }
    struct document_reload *reload = calloc(1, sizeof(*reload));
    if (reload == NULL) {
        json_decref(root);
        *ret_why = "out of memory";
        return NULL;
    }
    *reload = (struct document_reload){
        .root = root,
        .result = text(root, "result"),
        .generation = integer(root, "generation"),
        .added = integer(root, "added"),
        .changed = integer(root, "changed"),
        .removed = integer(root, "removed"),
        .unchanged = integer(root, "unchanged"),
        .faults = take_texts(json_object_get(root, "faults"), &is_short),
        .warnings = take_texts(json_object_get(root, "warnings"), &is_short),
    };
    if (is_short) {
        *ret_why = "out of memory";
        return document_free_reload(reload);
    }
    return reload;
}

struct document_reload *document_free_reload(struct document_reload *reload)
{
    if (reload == NULL) {
        return NULL;
    }
    free(reload->faults.list);
    free(reload->warnings.list);
    json_decref(reload->root);
    free(reload);
    return NULL;
}
