#include "status/json.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "status/process.h"
#include "status/writer.h"

#include <string.h>

#include <jansson.h>

/* A value is NULL when memory is out, and so is what it should have become a part of, up to the
 * root: json_pack() and append() see to that. */

/* ASCII, for some characters beyond it act on a terminal. */
#define FORMAT (JSON_INDENT(1) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15))

/* Copies a text, which need not be UTF-8. NULL is null. */
static json_t *text(const char *untrusted)
{
    if (untrusted == NULL) {
        return json_null();
    }
    size_t len;
    struct writer writer = {0};
    writer_untrusted(&writer, untrusted, NULL);
    AUTO_FREE char *valid = writer_take(&writer, &len);
    return valid != NULL ? json_stringn_nocheck(valid, len) : NULL;
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* 0 is null. */
static json_t *known(uint64_t value)
{
    return value != 0 ? number(value) : json_null();
}

static json_t *seconds(uint64_t ms)
{
    return json_real((double)ms / 1000);
}

/* RFC 3339, in UTC; null for 0, and for a year that it cannot write. */
static json_t *date(time_t when)
{
    struct tm utc;
    if (when == 0 || gmtime_r(&when, &utc) == NULL || utc.tm_year < -1900 || utc.tm_year > 8099) {
        return json_null();
    }
    return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                        utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

static json_t *days(const struct view *view, time_t when)
{
    return when != 0 ? json_integer(view_days_left(view, when)) : json_null();
}

/* Adds a value, which it takes over. */
static void append(json_t **array, json_t *value)
{
    if (json_array_append_new(*array, value) < 0) {
        json_decref(*array);
        *array = NULL;
    }
}

static json_t *texts(const char *const *list, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        append(&array, text(list[i]));
    }
    return array;
}

/* --- The process --- */

static json_t *make_configuration(const struct view *view)
{
    static const char *const results[] = {
        [VIEW_RELOAD_NONE] = "none",
        [VIEW_RELOAD_OK] = "ok",
        [VIEW_RELOAD_REFUSED] = "refused",
    };
    time_t reloaded = view->reload != VIEW_RELOAD_NONE ? view->reloaded : 0;
    return json_pack("{s:o, s:o, s:o, s:{s:o, s:s, s:o}}", "file", text(view->file), "generation",
                     number(view->generation), "changed", date(view->changed), "last_reload",
                     "time", date(reloaded), "result", results[view->reload], "faults",
                     texts(view->faults, view->n_faults));
}

static json_t *make_process(void)
{
    struct process process;
    process_measure(&process);
    return json_pack("{s:o, s:o, s:o, s:o}", "resident_bytes", known(process.resident_bytes),
                     "cpu_seconds", json_real((double)process.cpu_us / 1e6), "open_descriptors",
                     known(process.open_descriptors), "max_descriptors",
                     number(process.max_descriptors));
}

/* --- Certificates --- */

static json_t *make_identity(const struct view *view, const struct view_identity *identity)
{
    static const struct inspect_facts none = {.subject = NULL};
    const struct inspect_facts *leaf = identity->n_chain > 0 ? &identity->chain[0] : &none;
    const struct inspect_facts *first = view_first_to_expire(identity->chain, identity->n_chain);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", text(identity->name),
                     "file", text(identity->path), "subject", text(leaf->subject), "issuer",
                     text(leaf->issuer), "not_before", date(leaf->not_before), "not_after",
                     date(leaf->not_after), "days_left",
                     days(view, first != NULL ? first->not_after : 0), "problem",
                     text(identity->problem));
}

static json_t *make_identities(const struct view *view)
{
    json_t *array = json_array();
    for (size_t i = 0; i < view->n_identities; i++) {
        append(&array, make_identity(view, &view->identities[i]));
    }
    return array;
}

static json_t *make_ca_certificates(const struct view *view, const struct view_trust *trust)
{
    json_t *array = json_array();
    for (size_t i = 0; i < trust->n_cas; i++) {
        const struct inspect_facts *facts = &trust->cas[i];
        append(&array,
               json_pack("{s:o, s:o, s:o}", "subject", text(facts->subject), "not_after",
                         date(facts->not_after), "days_left", days(view, facts->not_after)));
    }
    return array;
}

static json_t *make_crls(const struct view_trust *trust)
{
    json_t *array = json_array();
    for (size_t i = 0; i < trust->n_crls; i++) {
        const struct view_crl *crl = &trust->crls[i];
        append(&array, json_pack("{s:o, s:o, s:o}", "source", text(crl->source), "issuer",
                                 text(crl->issuer), "next_update", date(crl->next_update)));
    }
    return array;
}

static json_t *make_trusts(const struct view *view)
{
    json_t *array = json_array();
    for (size_t i = 0; i < view->n_trusts; i++) {
        const struct view_trust *trust = &view->trusts[i];
        append(&array, json_pack("{s:o, s:o, s:o, s:o}", "file", text(trust->path), "certificates",
                                 make_ca_certificates(view, trust), "crls", make_crls(trust),
                                 "problem", text(trust->problem)));
    }
    return array;
}

/* --- Services --- */

/* Only the reasons that occurred. */
static json_t *make_tally(const struct tally *tally)
{
    json_t *object = json_object();
    for (enum reason reason = 0; reason < REASON_COUNT; reason++) {
        uint64_t count = tally_count(tally, reason);
        if (count > 0 &&
            json_object_set_new_nocheck(object, reason_word(reason), number(count)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *make_listens(const struct config_service *config)
{
    json_t *array = json_array();
    for (size_t i = 0; i < config->n_listens; i++) {
        char written[VIEW_TEXT_MAX];
        append(&array, text(view_listen(&config->listens[i], written)));
    }
    return array;
}

static json_t *make_addresses(const struct config_service *config)
{
    json_t *array = json_array();
    for (size_t i = 0; i < config->n_addresses; i++) {
        char written[VIEW_TEXT_MAX];
        append(&array, text(view_address(&config->addresses[i], written)));
    }
    return array;
}

static json_t *make_endpoints(const struct endpoints *endpoints)
{
    json_t *array = json_array();
    for (size_t i = 0; endpoints != NULL && i < endpoints->n; i++) {
        char written[ADDR_TEXT_MAX];
        append(&array, text(addr_format(&endpoints->list[i].addr, written)));
    }
    return array;
}

static json_t *make_dns(const struct view_service *service)
{
    json_t *age = service->dns_age_ms >= 0 ? seconds((uint64_t)service->dns_age_ms) : json_null();
    return json_pack("{s:o, s:o}", "age_seconds", age, "failure", text(service->dns_failure));
}

static json_t *make_connections(const struct view_service *service)
{
    struct account *account = service->account;
    return json_pack("{s:o, s:o, s:o, s:o}", "active", number(atomic_load(&account->open)),
                     "opened", number(atomic_load(&account->opened)), "limit",
                     number(service->config->max_connections), "ended",
                     make_tally(account->connections));
}

static json_t *make_bytes(struct account *account)
{
    return json_pack("{s:o, s:o}", "sent", number(atomic_load(&account->sent)), "received",
                     number(atomic_load(&account->received)));
}

static json_t *make_handshakes(struct account *account)
{
    return json_pack("{s:o, s:o, s:o}", "full", number(atomic_load(&account->full)), "resumed",
                     number(atomic_load(&account->resumed)), "failed",
                     make_tally(account->handshakes));
}

static json_t *make_warm(const struct account_warm *warm)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "ready", number(atomic_load(&warm->ready)),
                     "used", number(atomic_load(&warm->used)), "aged",
                     number(atomic_load(&warm->aged)), "closed", number(atomic_load(&warm->closed)),
                     "failed", number(atomic_load(&warm->failed)), "dropped",
                     number(atomic_load(&warm->dropped)));
}

static json_t *make_last_failure(const struct view *view, struct account *account)
{
    struct failure failure;
    if (!account_last_failure(account, &failure)) {
        return json_null();
    }
    uint64_t ms = atomic_load(&account->failed_ms);
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:s}", "time", date(view_when(view, ms)),
                     "age_seconds", seconds(view->now_ms > ms ? view->now_ms - ms : 0), "reason",
                     reason_word(failure.reason), "side",
                     reason_side_word(reason_side(failure.reason, failure.by_peer)), "detail",
                     text(failure.detail), "advice", reason_advice(failure.reason));
}

static time_t first_not_after(const struct inspect_facts *facts, size_t n)
{
    const struct inspect_facts *first = view_first_to_expire(facts, n);
    return first != NULL ? first->not_after : 0;
}

static json_t *make_days_left(const struct view *view, const struct view_service *service)
{
    const struct view_identity *identity = service->identity;
    const struct view_trust *trust = service->trust;
    time_t own = identity != NULL ? first_not_after(identity->chain, identity->n_chain) : 0;
    time_t ca = trust != NULL ? first_not_after(trust->cas, trust->n_cas) : 0;
    return json_pack("{s:o, s:o, s:o}", "own", days(view, own), "ca", days(view, ca), "backend",
                     days(view, atomic_load(&service->account->backend_not_after)));
}

static json_t *make_service(const struct view *view, const struct view_service *service)
{
    const struct config_service *config = service->config;
    struct account *account = service->account;
    const struct view_identity *identity = service->identity;
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o}",
        "name", text(config->name), "state", view_state_word(service->state), "listen",
        make_listens(config), "address", make_addresses(config), "certificate",
        text(identity != NULL ? identity->name : NULL), "ca", text(config->ca.path), "endpoints",
        make_endpoints(service->endpoints), "dns", make_dns(service), "connections",
        make_connections(service), "bytes", make_bytes(account), "handshakes",
        make_handshakes(account), "warm", make_warm(&account->warm), "attempts_failed",
        make_tally(account->attempts), "last_success",
        date(view_when(view, atomic_load(&account->succeeded_ms))), "last_failure",
        make_last_failure(view, account), "days_left", make_days_left(view, service),
        "backend_not_after", date(atomic_load(&account->backend_not_after)), "held",
        text(service->held));
}

static json_t *make_services(const struct view *view)
{
    json_t *array = json_array();
    for (size_t i = 0; i < view->n_services; i++) {
        append(&array, make_service(view, &view->services[i]));
    }
    return array;
}

/* --- The documents --- */

static json_t *make_status(const struct view *view)
{
    return json_pack("{s:s, s:i, s:s, s:b, s:o, s:o, s:i, s:o, s:{s:o}, s:o, s:o, s:o, s:o}",
                     "version", PACKAGE_VERSION, "pid", (int)getpid(), "state",
                     view->is_draining ? "draining" : "running", "ready", (int)view_is_ready(view),
                     "started", date(view->started), "uptime_seconds",
                     seconds(view->now_ms - view->started_ms), "workers", (int)view->workers,
                     "configuration", make_configuration(view), "log", "dropped",
                     number(log_dropped()), "process", make_process(), "certificates",
                     make_identities(view), "cas", make_trusts(view), "services",
                     make_services(view));
}

/* Writes a document, which it takes over. */
static char *write_down(json_t *root)
{
    struct writer writer = {0};
    char *dump = root != NULL ? json_dumps(root, FORMAT) : NULL;
    json_decref(root);
    if (dump == NULL) {
        return NULL;
    }
    size_t len;
    writer_add(&writer, dump);
    writer_add(&writer, "\n");
    free(dump);
    return writer_take(&writer, &len);
}

char *json_status(const struct view *view)
{
    return write_down(make_status(view));
}

char *json_reload(const struct view_reload *reload)
{
    return write_down(json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "result",
                                reload->is_ok ? "ok" : "refused", "generation",
                                number(reload->generation), "added", number(reload->added),
                                "changed", number(reload->changed), "removed",
                                number(reload->removed), "unchanged", number(reload->unchanged),
                                "faults", texts(reload->faults, reload->n_faults), "warnings",
                                texts(reload->warnings, reload->n_warnings)));
}
