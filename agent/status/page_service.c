#include "status/page_service.h"

#include "base/span.h"
#include "status/html.h"

#include <inttypes.h>

static enum html_tone tone_of(enum view_state state)
{
    static const enum html_tone tones[] = {
        [VIEW_UNUSED] = HTML_IDLE,    [VIEW_OK] = HTML_GOOD,        [VIEW_FAILING] = HTML_BAD,
        [VIEW_RESOLVING] = HTML_WARN, [VIEW_NO_ADDRESS] = HTML_BAD,
    };
    return tones[state];
}

/* For people: what is a single word elsewhere may be two. */
static const char *words_of(enum view_state state)
{
    return state == VIEW_NO_ADDRESS ? "no address" : view_state_word(state);
}

static void write_name(const struct view_service *service, struct writer *out)
{
    const struct config_service *config = service->config;
    char text[VIEW_TEXT_MAX];
    writer_add(out, "<tr><th scope=\"row\" class=\"who\"><b>");
    html_untrusted(out, config->name);
    writer_add(out, "</b>");
    for (size_t i = 0; i < config->n_listens; i++) {
        html_small(out, view_listen(&config->listens[i], text));
    }
    for (size_t i = 0; i < config->n_addresses; i++) {
        writer_add(out, "<small>\xe2\x86\x92\xc2\xa0"); /* an arrow, and a space */
        html_untrusted(out, view_address(&config->addresses[i], text));
        writer_add(out, "</small>");
    }
    writer_add(out, "</th>\n");
}

static void write_endpoints(const struct view_service *service, struct writer *out)
{
    if (!view_has_address(service)) {
        html_small(out, service->dns_failure);
        return;
    }
    char text[ADDR_TEXT_MAX];
    size_t n = service->endpoints->n;
    writer_add(out, "<small>");
    html_untrusted(out, addr_format(&service->endpoints->list[0].addr, text));
    if (n > 1) {
        writer_format(out, " and %zu more", n - 1);
    }
    writer_add(out, "</small>");
    if (service->dns_failure != NULL) {
        writer_add(out, "<small class=\"warn\">DNS: ");
        html_untrusted(out, service->dns_failure);
        writer_add(out, "</small>");
    }
}

static void write_state(const struct view_service *service, struct writer *out)
{
    html_cell_begin(out, "State", NULL);
    writer_format(out, "<span class=\"state %s\">%s</span>", html_tone(tone_of(service->state)),
                  words_of(service->state));
    write_endpoints(service, out);
    html_cell_end(out);
}

/* Bytes with three digits or so. */
static const char *format_bytes(uint64_t bytes, char text[static 32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 32, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

/* The share of handshakes that were resumed. */
static void write_handshakes(struct account *account, struct writer *out)
{
    uint64_t resumed = atomic_load(&account->resumed);
    uint64_t all = resumed + atomic_load(&account->full);
    if (all > 0) {
        writer_format(out, "<small>%.0f%% of handshakes resumed</small>",
                      100.0 * (double)resumed / (double)all);
    }
}

static void write_connections(const struct view_service *service, struct writer *out)
{
    struct account *account = service->account;
    char sent[32], received[32];
    html_cell_begin(out, "Connections", NULL);
    writer_format(out, "<b>%" PRIu64 "</b> active, %" PRIu64 " in all", atomic_load(&account->open),
                  atomic_load(&account->opened));
    writer_format(out, "<small>%s sent, %s received</small>",
                  format_bytes(atomic_load(&account->sent), sent),
                  format_bytes(atomic_load(&account->received), received));
    write_handshakes(account, out);
    if (view_is_prewarmed(service)) {
        writer_format(out, "<small>%" PRIu64 " warm sessions ready, %" PRIu64 " used</small>",
                      atomic_load(&account->warm.ready), atomic_load(&account->warm.used));
    }
    html_cell_end(out);
}

static void write_reason(const struct view *view, const struct view_service *service,
                         const struct failure *failure, struct writer *out)
{
    time_t when = view_when(view, atomic_load(&service->account->failed_ms));
    writer_format(out, "<b class=\"%s\">%s</b> <span class=\"soft\">%s, ",
                  service->state == VIEW_FAILING ? "bad" : "soft", reason_word(failure->reason),
                  reason_side_word(reason_side(failure->reason, failure->by_peer)));
    html_age(out, view, when);
    writer_add(out, "</span>");
    html_small(out, failure->detail);
    writer_format(out, "<small class=\"ink\">%s</small>", reason_advice(failure->reason));
}

static void write_failure(const struct view *view, const struct view_service *service,
                          struct writer *out)
{
    struct failure failure;
    bool has_failed = account_last_failure(service->account, &failure);
    if (!has_failed && service->held == NULL) {
        writer_add(out, "<td></td>\n");
        return;
    }
    html_cell_begin(out, "Last failure", "why");
    if (has_failed) {
        write_reason(view, service, &failure, out);
    }
    if (service->held != NULL) {
        writer_add(out, "<small class=\"warn\">The old certificate or CA is kept: ");
        html_untrusted(out, service->held);
        writer_add(out, "</small>");
    }
    html_cell_end(out);
}

static void write_days(const struct view *view, const char *whose, time_t when, struct writer *out)
{
    if (when != 0) {
        char text[HTML_DAYS_MAX];
        long days = view_days_left(view, when);
        writer_format(out, "<span class=\"%s\"><i>%s</i> %s</span>",
                      html_tone(html_tone_of_days(days)), whose, html_format_days(days, "", text));
    }
}

static time_t first_not_after(const struct inspect_facts *facts, size_t n)
{
    const struct inspect_facts *first = view_first_to_expire(facts, n);
    return first != NULL ? first->not_after : 0;
}

static void write_all_days(const struct view *view, const struct view_service *service,
                           struct writer *out)
{
    const struct view_identity *identity = service->identity;
    const struct view_trust *trust = service->trust;
    html_cell_begin(out, "Days left", "days");
    if (identity != NULL) {
        write_days(view, "ours", first_not_after(identity->chain, identity->n_chain), out);
    }
    if (trust != NULL) {
        write_days(view, "CA", first_not_after(trust->cas, trust->n_cas), out);
    }
    write_days(view, "backend", atomic_load(&service->account->backend_not_after), out);
    html_cell_end(out);
}

static void write_service(const struct view *view, const struct view_service *service,
                          struct writer *out)
{
    write_name(service, out);
    write_state(service, out);
    write_connections(service, out);
    write_failure(view, service, out);
    write_all_days(view, service, out);
    writer_add(out, "</tr>\n");
}

/* "3 ok, 1 failing" */
static void count_states(const struct view *view, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (enum view_state state = VIEW_UNUSED; state <= VIEW_NO_ADDRESS; state++) {
        size_t n = 0;
        for (size_t i = 0; i < view->n_services; i++) {
            n += view->services[i].state == state;
        }
        if (n > 0 && len < size) {
            len += (size_t)snprintf(text + len, size - len, "%s%zu %s", len > 0 ? ", " : "", n,
                                    words_of(state));
        }
    }
}

static bool needs_attention(const struct view_service *service)
{
    return service->state == VIEW_FAILING || service->state == VIEW_NO_ADDRESS ||
           service->held != NULL;
}

static void write_services(const struct view *view, bool which, struct writer *out)
{
    for (size_t i = 0; i < view->n_services; i++) {
        if (needs_attention(&view->services[i]) == which) {
            write_service(view, &view->services[i], out);
        }
    }
}

/* Those that need somebody come first. */
void page_write_services(const struct view *view, struct writer *out)
{
    static const char *const columns[] = {"Service", "State", "Connections", "Last failure",
                                          "Days left"};
    char states[160];
    count_states(view, states, sizeof(states));
    html_table_begin(out, "Services", states, columns, sizeof(columns) / sizeof(columns[0]));
    write_services(view, true, out);
    write_services(view, false, out);
    html_table_end(out);
}
