#include "control/outlook.h"

#include "base/clock.h"
#include "control/control_fields.h"
#include "control/target.h"
#include "status/json.h"

#include <stdlib.h>

#define HTTP_OK            200
#define HTTP_UNPROCESSABLE 422
#define HTTP_UNAVAILABLE   503

/* What a view is made of: room that is used again for the next one. */
struct outlook {
    struct control *control;
    struct view view;
    struct view_identity *identities;
    struct view_trust *trusts;
    struct view_crl *crls;
    struct view_service *services;
    struct view_identity *kept_identities; /* of services that keep what is not the files' */
    struct view_trust *kept_trusts;
};

/* A reload that was asked for. */
struct asking {
    struct reload_waiter waiter;
    struct server_request *request;
};

/* ---- the view ---- */

static void release_parts(struct outlook *outlook)
{
    free(outlook->identities);
    free(outlook->trusts);
    free(outlook->crls);
    free(outlook->services);
    free(outlook->kept_identities);
    free(outlook->kept_trusts);
    outlook->identities = NULL;
    outlook->trusts = NULL;
    outlook->crls = NULL;
    outlook->services = NULL;
    outlook->kept_identities = NULL;
    outlook->kept_trusts = NULL;
}

static int make_parts(struct outlook *outlook, const struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    release_parts(outlook);
    outlook->identities = calloc(config->n_certificates + 1, sizeof(*outlook->identities));
    outlook->trusts = calloc(snapshot->n_trusts + 1, sizeof(*outlook->trusts));
    outlook->crls = calloc(snapshot->n_trusts * PART_CRLS_MAX + 1, sizeof(*outlook->crls));
    outlook->services = calloc(config->n_services + 1, sizeof(*outlook->services));
    outlook->kept_identities = calloc(config->n_services + 1, sizeof(*outlook->kept_identities));
    outlook->kept_trusts = calloc(config->n_services + 1, sizeof(*outlook->kept_trusts));
    bool is_whole = outlook->identities != NULL && outlook->trusts != NULL &&
                    outlook->crls != NULL && outlook->services != NULL &&
                    outlook->kept_identities != NULL && outlook->kept_trusts != NULL;
    return is_whole ? 0 : -1;
}

static void show_identities(struct outlook *outlook, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->config->n_certificates; i++) {
        const struct config_certificate *certificate = &snapshot->config->certificates[i];
        const struct part *part = &snapshot->identities[i];
        struct view_identity *view = &outlook->identities[i];
        view->name = certificate->name;
        view->path = part->files[0].path;
        view->chain = identity_facts(part->identity, &view->n_chain);
        view->problem = part->problem;
    }
}

static void show_trusts(struct outlook *outlook, const struct snapshot *snapshot)
{
    struct view_crl *crl = outlook->crls;
    for (size_t i = 0; i < snapshot->n_trusts; i++) {
        const struct part *part = &snapshot->trusts[i];
        struct view_trust *view = &outlook->trusts[i];
        view->path = part->ca;
        view->cas = trust_facts(part->trust, &view->n_cas);
        view->problem = part->problem;
        view->crls = crl;
        const struct trust_crl_facts *facts = trust_crls(part->trust, &view->n_crls);
        for (size_t k = 0; k < view->n_crls; k++) {
            *crl++ = (struct view_crl){facts[k].source, facts[k].issuer, facts[k].next_update};
            if (view->problem == NULL) {
                view->problem = crls_problem(outlook->control->crls, facts[k].source);
            }
        }
    }
}

static enum view_state judge(const struct view_service *view)
{
    const struct account *account = view->account;
    uint64_t failed = atomic_load_explicit(&account->failed_ms, memory_order_relaxed);
    uint64_t succeeded = atomic_load_explicit(&account->succeeded_ms, memory_order_relaxed);
    if (view->endpoints == NULL && view->dns_failure == NULL) {
        return VIEW_RESOLVING;
    }
    if (view->endpoints == NULL || view->endpoints->n == 0) {
        return VIEW_NO_ADDRESS;
    }
    if (failed == 0 && succeeded == 0) {
        return VIEW_UNUSED;
    }
    return failed >= succeeded ? VIEW_FAILING : VIEW_OK;
}

/* What a service uses that is held is not what its files have. */
static void show_kept(struct outlook *outlook, const struct profile *profile, size_t i)
{
    struct view_service *view = &outlook->services[i];
    struct view_identity *identity = &outlook->kept_identities[i];
    struct view_trust *trust = &outlook->kept_trusts[i];
    if (view->identity != NULL && profile_identity(profile) != NULL) {
        *identity = *view->identity;
        identity->chain = identity_facts(profile_identity(profile), &identity->n_chain);
        view->identity = identity;
    }
    *trust = *view->trust;
    trust->cas = trust_facts(profile_trust(profile), &trust->n_cas);
    view->trust = trust;
}

static void show_service(struct outlook *outlook, const struct snapshot *snapshot, size_t i)
{
    const struct config_service *config = &snapshot->config->services[i];
    const struct target *target = resolver_target(outlook->control->resolver, i);
    struct view_service *view = &outlook->services[i];
    view->config = config;
    view->account = snapshot->services[i]->account;
    if (config->certificate != NULL) {
        view->identity = &outlook->identities[config->certificate - snapshot->config->certificates];
    }
    view->trust = &outlook->trusts[snapshot->trust_of[i] - snapshot->trusts];
    view->endpoints = target->endpoints;
    view->dns_age_ms = target_age_ms(target);
    view->dns_failure = target_failure(target);
    view->held = snapshot->held[i];
    view->state = judge(view);
    if (view->held != NULL) {
        show_kept(outlook, snapshot->services[i]->profile, i);
    }
}

static enum view_result result_of(const struct outcome *last)
{
    if (last->when == 0) {
        return VIEW_RELOAD_NONE;
    }
    return last->is_refused ? VIEW_RELOAD_REFUSED : VIEW_RELOAD_OK;
}

static void show_process(struct outlook *outlook)
{
    const struct control *control = outlook->control;
    const struct outcome *last = reload_last(control->reload);
    outlook->view = (struct view){
        .now_ms = clock_ms(),
        .now = time(NULL),
        .started = control->started,
        .started_ms = control->started_ms,
        .workers = (unsigned)crew_size(control->crew),
        .is_draining = control->state != CONTROL_RUNNING,
        .file = control->file,
        .generation = control->generation,
        .changed = control->changed,
        .reload = result_of(last),
        .reloaded = last->when,
        .faults = (const char *const *)last->faults,
        .n_faults = last->n_faults,
        .identities = outlook->identities,
        .n_identities = control->snapshot->config->n_certificates,
        .trusts = outlook->trusts,
        .n_trusts = control->snapshot->n_trusts,
        .services = outlook->services,
        .n_services = control->snapshot->config->n_services,
    };
}

static const struct view *look(void *ctx)
{
    struct outlook *outlook = ctx;
    const struct snapshot *snapshot = outlook->control->snapshot;
    if (make_parts(outlook, snapshot) < 0) {
        return NULL;
    }
    show_identities(outlook, snapshot);
    show_trusts(outlook, snapshot);
    for (size_t i = 0; i < snapshot->config->n_services; i++) {
        show_service(outlook, snapshot, i);
    }
    show_process(outlook);
    return &outlook->view;
}

/* ---- reloads ---- */

static char *render(const struct outcome *outcome)
{
    const struct view_reload reload = {
        .is_ok = !outcome->is_refused,
        .generation = outcome->generation,
        .added = outcome->counts.added,
        .changed = outcome->counts.changed,
        .removed = outcome->counts.removed,
        .unchanged = outcome->counts.unchanged,
        .faults = (const char *const *)outcome->faults,
        .n_faults = outcome->n_faults,
        .warnings = (const char *const *)outcome->warnings,
        .n_warnings = outcome->n_warnings,
    };
    return json_reload(&reload);
}

static void on_reloaded(void *ctx, const struct outcome *outcome)
{
    struct asking *asking = ctx;
    if (outcome == NULL) {
        static const char *const stopping[] = {"the agent is stopping"};
        const struct view_reload none = {.faults = stopping, .n_faults = 1};
        server_answer(asking->request, HTTP_UNAVAILABLE, json_reload(&none));
    } else {
        server_answer(asking->request, outcome->is_refused ? HTTP_UNPROCESSABLE : HTTP_OK,
                      render(outcome));
    }
    free(asking);
}

static void on_asked(void *ctx, struct server_request *request)
{
    struct outlook *outlook = ctx;
    struct asking *asking = calloc(1, sizeof(*asking));
    if (asking == NULL) {
        server_answer(request, HTTP_UNAVAILABLE, NULL);
        return;
    }
    asking->request = request;
    asking->waiter.done = on_reloaded;
    asking->waiter.ctx = asking;
    reload_request(outlook->control->reload, &asking->waiter);
}

const struct server_events outlook_events = {.look = look, .reload = on_asked};

/* ---- life ---- */

struct outlook *outlook_new(struct control *control)
{
    struct outlook *outlook = calloc(1, sizeof(*outlook));
    if (outlook != NULL) {
        outlook->control = control;
    }
    return outlook;
}

struct outlook *outlook_free(struct outlook *outlook)
{
    if (outlook != NULL) {
        release_parts(outlook);
        free(outlook);
    }
    return NULL;
}
