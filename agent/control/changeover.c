#include "control/changeover.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/same.h"
#include "control/control_fields.h"

#include <stdlib.h>
#include <string.h>

/* All that has to be there before anything is changed. */
struct plan {
    struct doors_plan *doors;     /* NULL both: with the same configuration, sockets stay as they */
    struct publish_plan *windows; /* are */
    struct resolver_plan *names;
    struct order *order;
};

/* ---- what changes ---- */

static bool is_same_config(const struct control *control, const struct snapshot *next)
{
    return control->snapshot != NULL && control->snapshot->config == next->config;
}

static bool is_new(const struct snapshot *next, size_t i)
{
    return next->was[i] == SNAPSHOT_NEW;
}

/* True when service `i` is the one in use, with the same doors. */
static bool is_unchanged(const struct snapshot *before, const struct snapshot *next, size_t i)
{
    return !is_new(next, i) && next->services[i] == before->services[next->was[i]];
}

struct changeover_counts changeover_count(const struct snapshot *before,
                                          const struct snapshot *next)
{
    struct changeover_counts counts = {0};
    for (size_t i = 0; i < next->config->n_services; i++) {
        counts.added += is_new(next, i);
        counts.unchanged += is_unchanged(before, next, i);
    }
    counts.changed = next->config->n_services - counts.added - counts.unchanged;
    if (before != NULL) {
        counts.removed = before->config->n_services - counts.changed - counts.unchanged;
    }
    return counts;
}

static bool is_elsewhere(const struct snapshot *before, const struct snapshot *next, size_t i)
{
    return !is_new(next, i) &&
           !same_addresses(&next->config->services[i], &before->config->services[next->was[i]]);
}

static void order_services(struct order *order, const struct snapshot *before,
                           const struct snapshot *next)
{
    for (size_t i = 0; i < next->config->n_services; i++) {
        if (!is_unchanged(before, next, i)) {
            order_serve(order, next->services[i], is_elsewhere(before, next, i));
        }
    }
}

static int order_removals(struct order *order, const struct snapshot *before,
                          const struct snapshot *next)
{
    size_t n = before != NULL ? before->config->n_services : 0;
    bool *stays = calloc(n + 1, sizeof(*stays));
    if (stays == NULL) {
        return -1;
    }
    for (size_t i = 0; i < next->config->n_services; i++) {
        if (!is_new(next, i)) {
            stays[next->was[i]] = true;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!stays[i]) {
            order_remove(order, before->services[i]->id);
        }
    }
    free(stays);
    return 0;
}

/* Connections that were made with what service `i` no longer presents or trusts. */
static void order_retirement(const struct control *control, struct order *order,
                             const struct snapshot *next, size_t i)
{
    const struct config_service *config = &next->config->services[i];
    const struct profile *now = next->services[i]->profile;
    const struct profile *was = control->snapshot->services[next->was[i]]->profile;
    struct retirement_terms terms;
    if (config->retire_ms == CONFIG_RETIRE_NEVER) {
        return;
    }
    upkeep_terms(&next->config->agent, config, clock_ms(), &terms);
    if (profile_identity(was) != profile_identity(now)) {
        order_retire(order, RETIREMENT_REPLACED, next->services[i], terms);
    }
    if (profile_trust(was) != profile_trust(now)) {
        order_retire(order, RETIREMENT_JUDGED, next->services[i], terms);
    }
}

static void order_retirements(const struct control *control, struct order *order,
                              const struct snapshot *next)
{
    for (size_t i = 0; i < next->config->n_services; i++) {
        if (!is_new(next, i) && !is_unchanged(control->snapshot, next, i)) {
            order_retirement(control, order, next, i);
        }
    }
}

/* ---- preparing ---- */

static void release(struct plan *plan)
{
    doors_plan_free(plan->doors);
    resolver_plan_free(plan->names);
    publish_plan_free(plan->windows);
    order_free(plan->order);
}

/* Services first, so that doors find theirs; removals last, when their doors are closed. A reload
 * makes sessions anew even where nothing has changed: the operator may have reason to want that. */
static int write_order(const struct control *control, struct plan *plan,
                       const struct snapshot *next)
{
    if (!is_same_config(control, next)) {
        order_refresh(plan->order);
    }
    order_services(plan->order, control->snapshot, next);
    if (plan->doors != NULL) {
        doors_order(plan->doors, plan->order);
    }
    if (order_removals(plan->order, control->snapshot, next) < 0) {
        return -1;
    }
    order_retirements(control, plan->order, next);
    return order_is_whole(plan->order) ? 0 : -1;
}

/* Tells all that cannot be opened. */
static int open_sockets(struct control *control, struct plan *plan, const struct snapshot *next,
                        struct problems *problems)
{
    plan->doors = doors_plan(control->doors, control->publish, next, problems);
    plan->windows = publish_plan(control->publish, control->doors, next->config, problems);
    return plan->doors != NULL && plan->windows != NULL ? 0 : -1;
}

static int prepare(struct control *control, struct plan *plan, const struct snapshot *next,
                   struct problems *problems)
{
    if (!is_same_config(control, next) && open_sockets(control, plan, next, problems) < 0) {
        return -1;
    }
    plan->names = resolver_plan(control->resolver, next);
    plan->order = order_new(control->crew, next->n_ids);
    if (plan->names == NULL || plan->order == NULL || ledger_reserve(&control->ledger, next) < 0 ||
        write_order(control, plan, next) < 0) {
        problems_error(problems, (struct place){next->config->files[0], 0}, "out of memory");
        return -1;
    }
    return 0;
}

/* ---- carrying out ---- */

/* What is watched and fetched in the background; without it the agent runs on. */
static void watch_files(struct control *control, const struct snapshot *snapshot)
{
    size_t n = 0, size = snapshot->config->n_certificates + snapshot->n_trusts;
    struct filewatch_file *files = calloc(size * PART_FILES_MAX + 1, sizeof(*files));
    for (size_t i = 0; files != NULL && i < size; i++) {
        size_t n_identities = snapshot->config->n_certificates;
        const struct part *part =
            i < n_identities ? &snapshot->identities[i] : &snapshot->trusts[i - n_identities];
        memcpy(&files[n], part->files, part->n_files * sizeof(*files));
        n += part->n_files;
    }
    if (files == NULL || filewatch_set(control->filewatch, files, n) < 0) {
        log_message(LEVEL_ERROR, "out of memory: certificate files are not watched any more");
    }
    free(files);
}

static void fetch_crls(struct control *control, const struct config *config)
{
    size_t n = 0, size = 0;
    for (size_t i = 0; i < config->n_services; i++) {
        size += config->services[i].n_crls;
    }
    struct crls_wanted *wanted = calloc(size + 1, sizeof(*wanted));
    for (size_t i = 0; wanted != NULL && i < config->n_services; i++) {
        for (size_t k = 0; k < config->services[i].n_crls; k++) {
            const struct config_crl *crl = &config->services[i].crls[k];
            if (crl->url != NULL) {
                wanted[n++] = (struct crls_wanted){.url = crl->url,
                                                   .path = crl->path,
                                                   .ca = config->services[i].ca.path};
            }
        }
    }
    if (wanted == NULL || crls_set(control->crls, wanted, n) < 0) {
        log_message(LEVEL_ERROR, "out of memory: CRLs are not downloaded any more");
    }
    free(wanted);
}

static void carry_out(struct control *control, struct plan *plan, struct snapshot *next)
{
    struct snapshot *before = control->snapshot;
    const struct config_agent *agent = &next->config->agent;
    log_configure(agent->log_level, agent->log_format);
    if (plan->doors != NULL) {
        doors_show(plan->doors);
    }
    order_give(plan->order, control->crew);
    if (plan->doors != NULL) {
        doors_commit(control->doors, plan->doors);
        publish_commit(control->publish, plan->windows);
    }
    ledger_take(&control->ledger, next);
    control->snapshot = next;
    resolver_commit(control->resolver, plan->names); /* after the order: it tells workers more */
    fetch_crls(control, next->config);
    watch_files(control, next);
    if (control->upkeep != NULL) {
        upkeep_wake(control->upkeep);
    }
    snapshot_free(before);
}

int changeover(struct control *control, struct snapshot *next, struct problems *problems)
{
    struct plan plan = {0};
    struct changeover_counts counts = changeover_count(control->snapshot, next);
    bool is_same = is_same_config(control, next) && counts.changed == 0;
    if (prepare(control, &plan, next, problems) < 0) {
        release(&plan);
        return -1;
    }
    carry_out(control, &plan, next);
    if (!is_same) {
        control->generation++;
        control->changed = time(NULL);
    }
    return 0;
}
