#include "status/page.h"

#include "base/log.h"
#include "base/span.h"
#include "status/html.h"
#include "status/page_service.h"
#include "status/process.h"
#include "status/style.h"
#include "tls/tls.h"

#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#define REFRESH "5" /* seconds */

/* --- The head --- */

static void write_head(const struct view *view, const char *host, struct writer *out)
{
    writer_add(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                    "<meta http-equiv=\"refresh\" content=\"" REFRESH "\">\n<title>mtls-agent on ");
    html_untrusted(out, host);
    writer_add(out, view->is_draining     ? ": draining"
                    : view_is_ready(view) ? ": ready"
                                          : ": not ready");
    writer_add(out, "</title>\n<style>" STYLE "</style></head>\n<body><main>\n");
}

static void write_readiness(const struct view *view, struct writer *out)
{
    size_t n_missing = 0;
    for (size_t i = 0; i < view->n_services; i++) {
        n_missing += !view_has_address(&view->services[i]);
    }
    if (view->is_draining) {
        writer_add(out, "<span class=\"state warn\">draining</span>");
    } else if (n_missing > 0) {
        writer_format(out,
                      "<span class=\"state bad\">not ready</span>: %zu of %zu services without an "
                      "address",
                      n_missing, view->n_services);
    } else {
        writer_add(out, "<span class=\"state good\">ready</span>");
    }
}

static void write_summary(const struct view *view, const char *host, struct writer *out)
{
    char uptime[SPAN_TEXT_MAX], when[SPAN_TEXT_MAX];
    writer_add(out, "<header><h1>mtls-agent <span>on ");
    html_untrusted(out, host);
    writer_add(out, "</span></h1>\n<p>");
    write_readiness(view, out);
    writer_format(out, "</p>\n<p class=\"soft\">Version " PACKAGE_VERSION ", up for %s",
                  span_format((time_t)((view->now_ms - view->started_ms) / 1000), uptime));
    writer_format(out, ". Configuration %" PRIu64 ", since ", view->generation);
    html_age(out, view, view->changed);
    writer_format(out, " (%s).</p>\n", span_format_date(view->changed, when));
}

static void write_reload(const struct view *view, struct writer *out)
{
    if (view->reload == VIEW_RELOAD_OK) {
        writer_add(out, "<p class=\"soft\">The last reload was applied ");
        html_age(out, view, view->reloaded);
        writer_add(out, ".</p>\n");
    }
    if (view->reload == VIEW_RELOAD_REFUSED) {
        writer_add(out, "<div class=\"note\" role=\"alert\"><b class=\"bad\">The last reload was "
                        "refused</b> ");
        html_age(out, view, view->reloaded);
        writer_add(out, "; what was in use still is.<ul>");
        for (size_t i = 0; i < view->n_faults; i++) {
            writer_add(out, "<li>");
            html_untrusted(out, view->faults[i]);
            writer_add(out, "</li>");
        }
        writer_add(out, "</ul></div>\n");
    }
    writer_add(out, "</header>\n");
}

/* --- Certificates --- */

static void write_problem(const char *problem, struct writer *out)
{
    if (problem != NULL) {
        writer_add(out, "<div class=\"bad\">The new file is not in use: ");
        html_untrusted(out, problem);
        writer_add(out, "</div>");
    }
}

static void begin_row(const char *name, const char *untrusted, struct writer *out)
{
    writer_add(out, "<tr><th scope=\"row\"><b>");
    html_untrusted(out, name);
    writer_add(out, "</b>");
    html_small(out, untrusted);
    writer_add(out, "</th>\n");
}

static void write_until(const struct view *view, time_t when, enum html_tone (*tone_of)(long days),
                        struct writer *out)
{
    if (when == 0) {
        writer_add(out, "<td></td>\n");
        return;
    }
    html_cell_begin(out, "Valid for", "days");
    html_days(out, view, when, tone_of(view_days_left(view, when)));
    html_cell_end(out);
}

static void write_identity(const struct view *view, const struct view_identity *identity,
                           struct writer *out)
{
    const struct inspect_facts *first = view_first_to_expire(identity->chain, identity->n_chain);
    begin_row(identity->name, identity->path, out);
    html_cell_begin(out, "Subject", NULL);
    for (size_t i = 0; i < identity->n_chain; i++) {
        if (i == 0) {
            html_untrusted(out, identity->chain[i].subject);
        } else {
            html_small(out, identity->chain[i].subject);
        }
    }
    write_problem(identity->problem, out);
    html_cell_end(out);
    html_cell(out, "Issuer", identity->n_chain > 0 ? identity->chain[0].issuer : "");
    write_until(view, first != NULL ? first->not_after : 0, html_tone_of_days, out);
    writer_add(out, "</tr>\n");
}

static void write_identities(const struct view *view, struct writer *out)
{
    static const char *const columns[] = {"Our certificate", "Subject", "Issuer", "Valid for"};
    if (view->n_identities == 0) {
        return;
    }
    html_table_begin(out, "Certificates", NULL, columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < view->n_identities; i++) {
        write_identity(view, &view->identities[i], out);
    }
    html_table_end(out);
}

static void write_crl(const struct view *view, const struct view_crl *crl, struct writer *out)
{
    begin_row("CRL", crl->source, out);
    bool is_here = crl->issuer != NULL && crl->issuer[0] != '\0';
    if (is_here) {
        html_cell(out, "Subject", crl->issuer);
    } else {
        html_cell_begin(out, "Subject", NULL);
        writer_add(out, "<span class=\"bad\">none yet: its backends are refused</span>");
        html_cell_end(out);
    }
    write_until(view, crl->next_update, html_tone_of_crl, out);
    writer_add(out, "</tr>\n");
}

static void write_trust(const struct view *view, const struct view_trust *trust, struct writer *out)
{
    for (size_t i = 0; i < trust->n_cas; i++) {
        begin_row("CA", trust->path, out);
        html_cell(out, "Subject", trust->cas[i].subject);
        write_until(view, trust->cas[i].not_after, html_tone_of_days, out);
        writer_add(out, "</tr>\n");
    }
    for (size_t i = 0; i < trust->n_crls; i++) {
        write_crl(view, &trust->crls[i], out);
    }
    if (trust->n_cas == 0 || trust->problem != NULL) {
        begin_row("CA file", trust->path, out);
        html_cell_begin(out, "Subject", NULL);
        writer_add(out, trust->n_cas == 0 ? "the system's" : "");
        write_problem(trust->problem, out);
        html_cell_end(out);
        writer_add(out, "<td></td></tr>\n");
    }
}

static void write_trusts(const struct view *view, struct writer *out)
{
    static const char *const columns[] = {"What backends are verified with", "Subject",
                                          "Valid for"};
    html_table_begin(out, "CAs and CRLs", NULL, columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < view->n_trusts; i++) {
        write_trust(view, &view->trusts[i], out);
    }
    html_table_end(out);
}

/* --- The process --- */

static void write_fact(struct writer *out, const char *term, const char *untrusted)
{
    writer_format(out, "<div><dt>%s</dt><dd>", term);
    html_untrusted(out, untrusted);
    writer_add(out, "</dd></div>\n");
}

static void write_count(struct writer *out, const char *term, uint64_t count)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, count);
    write_fact(out, term, text);
}

static void write_usage(struct writer *out)
{
    struct process process;
    char text[64];
    process_measure(&process);
    snprintf(text, sizeof(text), "%.1f s", (double)process.cpu_us / 1e6);
    write_fact(out, "CPU time", text);
    if (process.resident_bytes != PROCESS_UNKNOWN) {
        snprintf(text, sizeof(text), "%.1f MB", (double)process.resident_bytes / 1e6);
        write_fact(out, "Memory", text);
    }
    if (process.open_descriptors != PROCESS_UNKNOWN) {
        snprintf(text, sizeof(text), "%" PRIu64 " of %" PRIu64, process.open_descriptors,
                 process.max_descriptors);
        write_fact(out, "Descriptors", text);
    }
}

static void write_process(const struct view *view, struct writer *out)
{
    char started[SPAN_TEXT_MAX];
    writer_add(out, "\n<section><h2>Process</h2>\n<div class=\"sheet\"><dl>\n");
    write_fact(out, "Configuration", view->file);
    write_fact(out, "Started", span_format_date(view->started, started));
    write_count(out, "Process ID", (uint64_t)getpid());
    write_count(out, "Workers", view->workers);
    write_usage(out);
    write_count(out, "Log lines dropped", log_dropped());
    write_fact(out, "GnuTLS", tls_library_version());
    writer_add(out, "</dl></div></section>\n");
}

void page_write(const struct view *view, struct writer *out)
{
    char host[HOST_NAME_MAX + 1] = "localhost";
    gethostname(host, sizeof(host) - 1);
    write_head(view, host, out);
    write_summary(view, host, out);
    write_reload(view, out);
    page_write_services(view, out);
    write_identities(view, out);
    write_trusts(view, out);
    write_process(view, out);
    writer_add(out, "<footer class=\"soft\">This page loads itself anew every " REFRESH
                    " s. The same is at /status as JSON, and at /metrics for Prometheus."
                    "</footer>\n</main></body></html>\n");
}
