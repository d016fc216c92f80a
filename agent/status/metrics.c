#include "status/metrics.h"

#include "base/log.h"
#include "status/exposition.h"
#include "status/metrics_service.h"
#include "status/process.h"
#include "tls/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sample without labels. */
static void write_bare(struct exposition *to, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    exposition_family(to, name, type, help);
    exposition_begin(to, "");
    exposition_value(to, value);
}

/* --- The process and its configuration --- */

static void write_build(struct exposition *to)
{
    exposition_family(to, "mtls_agent_build_info", EXPOSITION_GAUGE,
                      "The versions that run; always 1.");
    exposition_begin(to, "");
    exposition_label(to, "version", PACKAGE_VERSION);
    exposition_label(to, "gnutls", tls_library_version());
    exposition_value(to, 1);
}

static void write_reload(struct exposition *to, const struct view *view)
{
    write_bare(to, "mtls_agent_last_reload_successful", EXPOSITION_GAUGE,
               "1 unless the last reload was refused.", view->reload != VIEW_RELOAD_REFUSED);
    exposition_family(to, "mtls_agent_last_reload_timestamp_seconds", EXPOSITION_GAUGE,
                      "When the last reload was applied or refused; missing before the first.");
    if (view->reload != VIEW_RELOAD_NONE) {
        exposition_begin(to, "");
        exposition_time(to, view->reloaded);
    }
}

static void write_configuration(struct exposition *to, const struct view *view)
{
    write_bare(to, "mtls_agent_ready", EXPOSITION_GAUGE,
               "1 when every service has an address and the agent does not drain.",
               view_is_ready(view));
    write_bare(to, "mtls_agent_draining", EXPOSITION_GAUGE,
               "1 while the agent lets its last connections run on before it stops.",
               view->is_draining);
    write_bare(to, "mtls_agent_workers", EXPOSITION_GAUGE, "Threads that carry traffic.",
               view->workers);
    write_bare(to, "mtls_agent_configuration_generation", EXPOSITION_GAUGE,
               "1 at the start, one more with each change that was applied.", view->generation);
    exposition_family(to, "mtls_agent_configuration_changed_timestamp_seconds", EXPOSITION_GAUGE,
                      "When a change was last applied.");
    exposition_begin(to, "");
    exposition_time(to, view->changed);
    write_reload(to, view);
    write_bare(to, "mtls_agent_log_lines_dropped_total", EXPOSITION_COUNTER,
               "Log lines that were lost because nobody read them in time.", log_dropped());
}

static void write_process(struct exposition *to, const struct view *view)
{
    struct process process;
    process_measure(&process);
    exposition_family(to, "process_cpu_seconds_total", EXPOSITION_COUNTER,
                      "User and system time of all threads.");
    exposition_begin(to, "");
    exposition_seconds(to, process.cpu_us);
    if (process.resident_bytes != PROCESS_UNKNOWN) {
        write_bare(to, "process_resident_memory_bytes", EXPOSITION_GAUGE, "Resident memory.",
                   process.resident_bytes);
    }
    if (process.open_descriptors != PROCESS_UNKNOWN) {
        write_bare(to, "process_open_fds", EXPOSITION_GAUGE, "Open descriptors.",
                   process.open_descriptors);
    }
    write_bare(to, "process_max_fds", EXPOSITION_GAUGE, "Descriptors that may be open at once.",
               process.max_descriptors);
    exposition_family(to, "process_start_time_seconds", EXPOSITION_GAUGE,
                      "When the process started.");
    exposition_begin(to, "");
    exposition_time(to, view->started);
}

/* --- Certificates --- */

/* Where it stands in its file, from 1: two certificates may have the same subject. */
static void label_position(struct exposition *to, size_t i)
{
    char position[24];
    snprintf(position, sizeof(position), "%zu", i + 1);
    exposition_label(to, "position", position);
}

static void label_identity(struct exposition *to, const struct view_identity *identity)
{
    exposition_begin(to, "");
    exposition_label(to, "certificate", identity->name);
    exposition_label(to, "file", identity->path);
}

static void write_identities(struct exposition *to, const struct view *view)
{
    exposition_family(to, "mtls_agent_certificate_not_after_seconds", EXPOSITION_GAUGE,
                      "Until when a certificate of ours is valid, seconds since 1970.");
    for (size_t i = 0; i < view->n_identities; i++) {
        const struct view_identity *identity = &view->identities[i];
        for (size_t k = 0; k < identity->n_chain; k++) {
            label_identity(to, identity);
            exposition_label(to, "subject", identity->chain[k].subject);
            label_position(to, k);
            exposition_time(to, identity->chain[k].not_after);
        }
    }
    exposition_family(to, "mtls_agent_certificate_problem", EXPOSITION_GAUGE,
                      "1 while what the files of a certificate hold cannot be used, and an earlier "
                      "state of them is.");
    for (size_t i = 0; i < view->n_identities; i++) {
        label_identity(to, &view->identities[i]);
        exposition_value(to, view->identities[i].problem != NULL);
    }
}

/* CAs by their file, which is there more than once when services use it with different CRLs. */
struct shelf {
    const struct view_trust **list; /* owned */
    size_t n;
};

static int compare_trusts(const void *a, const void *b)
{
    const struct view_trust *one = *(const struct view_trust *const *)a;
    const struct view_trust *other = *(const struct view_trust *const *)b;
    int order = strcmp(one->path, other->path);
    return order != 0 ? order : (one > other) - (one < other);
}

/* Returns -1 when memory is out. */
static int sort_trusts(const struct view *view, struct shelf *ret_shelf)
{
    const struct view_trust **list = calloc(view->n_trusts + 1, sizeof(const struct view_trust *));
    if (list == NULL) {
        return -1;
    }
    for (size_t i = 0; i < view->n_trusts; i++) {
        list[i] = &view->trusts[i];
    }
    qsort(list, view->n_trusts, sizeof(const struct view_trust *), compare_trusts);
    *ret_shelf = (struct shelf){list, view->n_trusts};
    return 0;
}

static bool is_first_of_file(const struct shelf *shelf, size_t i)
{
    return i == 0 || strcmp(shelf->list[i - 1]->path, shelf->list[i]->path) != 0;
}

static void write_ca_ends(struct exposition *to, const struct shelf *shelf)
{
    exposition_family(to, "mtls_agent_ca_not_after_seconds", EXPOSITION_GAUGE,
                      "Until when a CA of a service is valid, seconds since 1970.");
    for (size_t i = 0; i < shelf->n; i++) {
        const struct view_trust *trust = shelf->list[i];
        for (size_t k = 0; k < trust->n_cas && is_first_of_file(shelf, i); k++) {
            exposition_begin(to, "");
            exposition_label(to, "file", trust->path);
            exposition_label(to, "subject", trust->cas[k].subject);
            label_position(to, k);
            exposition_time(to, trust->cas[k].not_after);
        }
    }
}

static void write_ca_problems(struct exposition *to, const struct shelf *shelf)
{
    bool has_problem = false;
    exposition_family(to, "mtls_agent_ca_problem", EXPOSITION_GAUGE,
                      "1 while what a CA file or one of its CRLs holds cannot be used, and an "
                      "earlier state of it is.");
    for (size_t i = 0; i < shelf->n; i++) {
        has_problem = has_problem || shelf->list[i]->problem != NULL;
        if (i + 1 == shelf->n || is_first_of_file(shelf, i + 1)) {
            exposition_begin(to, "");
            exposition_label(to, "file", shelf->list[i]->path);
            exposition_value(to, has_problem);
            has_problem = false;
        }
    }
}

static bool has_crl(const struct view_crl *crl)
{
    return crl->issuer != NULL && crl->issuer[0] != '\0';
}

static void write_crl(struct exposition *to, const struct view_trust *trust,
                      const struct view_crl *crl, size_t position)
{
    if (has_crl(crl) && crl->next_update == 0) {
        return;
    }
    exposition_begin(to, "");
    exposition_label(to, "file", trust->path);
    exposition_label(to, "source", crl->source);
    exposition_label(to, "issuer", crl->issuer != NULL ? crl->issuer : "");
    label_position(to, position);
    exposition_time(to, crl->next_update);
}

/* Where there is no CRL yet all is refused, as with one that is stale: it was due in 1970. */
static void write_crls(struct exposition *to, const struct shelf *shelf)
{
    size_t position = 0;
    exposition_family(to, "mtls_agent_crl_next_update_seconds", EXPOSITION_GAUGE,
                      "When a CRL becomes stale, seconds since 1970; 0 while there is none.");
    for (size_t i = 0; i < shelf->n; i++) {
        const struct view_trust *trust = shelf->list[i];
        position = is_first_of_file(shelf, i) ? 0 : position;
        for (size_t k = 0; k < trust->n_crls; k++) {
            write_crl(to, trust, &trust->crls[k], position++);
        }
    }
}

static void write_trusts(struct exposition *to, const struct view *view)
{
    struct shelf shelf;
    if (sort_trusts(view, &shelf) < 0) {
        to->out->is_broken = true;
        return;
    }
    write_ca_ends(to, &shelf);
    write_ca_problems(to, &shelf);
    write_crls(to, &shelf);
    free(shelf.list);
}

void metrics_write(const struct view *view, struct writer *out)
{
    struct exposition to = {.out = out};
    write_build(&to);
    write_configuration(&to, view);
    write_process(&to, view);
    write_identities(&to, view);
    write_trusts(&to, view);
    metrics_write_services(view, out);
}
