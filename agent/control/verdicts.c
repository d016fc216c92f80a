#include "control/verdicts.h"

#include "base/log.h"
#include "base/span.h"
#include "config/same.h"
#include "control/roster.h"
#include "control/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY_LEN 768

/* ---- whom to ask ---- */

static bool stays(const struct snapshot *before, const struct snapshot *next, size_t i)
{
    return same_addresses(&next->config->services[i], &before->config->services[next->was[i]]);
}

/* True when service `i` goes on with the same backends, but with another identity or other CAs. */
static bool needs_trial(const struct snapshot *before, const struct snapshot *next, size_t i)
{
    size_t was = next->was[i];
    if (was == SNAPSHOT_NEW || next->services[i] == before->services[was] ||
        next->config->services[i].canary == CONFIG_CANARY_NO) {
        return false;
    }
    const struct profile *now = next->services[i]->profile;
    const struct profile *then = before->services[was]->profile;
    bool has_same = profile_identity(now) == profile_identity(then) &&
                    trust_has_same_cas(profile_trust(now), profile_trust(then));
    /* Elsewhere the old tells nothing; but what is held stays so until it was tried there. */
    return !has_same && (stays(before, next, i) || before->held[was] != NULL);
}

/* The last word of a backend was good; there was none; it was bad. */
static int standing_of(const struct canary_trial *trial)
{
    const struct account *account = trial->new->account;
    uint64_t failed = atomic_load_explicit(&account->failed_ms, memory_order_relaxed);
    uint64_t succeeded = atomic_load_explicit(&account->succeeded_ms, memory_order_relaxed);
    return succeeded > failed ? 0 : failed == 0 ? 1 : 2;
}

static int by_standing(const void *a, const void *b)
{
    return standing_of(a) - standing_of(b);
}

struct canary_trial *verdicts_needed(const struct snapshot *before, const struct snapshot *next,
                                     const struct resolver *resolver, size_t *ret_n)
{
    struct canary_trial *trials = calloc(next->config->n_services + 1, sizeof(*trials));
    size_t n = 0;
    if (trials == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < next->config->n_services; i++) {
        if (needs_trial(before, next, i)) {
            size_t was = next->was[i];
            const struct target *target = resolver_target(resolver, was);
            trials[n++] = (struct canary_trial){
                .old = before->services[was],
                .new = next->services[i],
                .endpoints = stays(before, next, i) ? target->endpoints : NULL,
                .is_required = next->config->services[i].canary == CONFIG_CANARY_REQUIRE,
            };
        }
    }
    qsort(trials, n, sizeof(*trials), by_standing);
    *ret_n = n;
    return trials;
}

/* ---- what the backends said ---- */

/* True when a backend was heard that takes the new: not one that our own CRL keeps us from. */
static bool is_accepted(const struct canary_trial *trial)
{
    enum reason reason = trial->failure.reason;
    return trial->verdict == CANARY_PASSED && reason != REASON_cert_revoked &&
           reason != REASON_crl_unusable;
}

/* What was refused before, and is held since, needs more than that nobody says so now. */
static bool is_lost(const struct canary_trial *trial, bool was_held)
{
    return trial->verdict == CANARY_REFUSED || (was_held && !is_accepted(trial)) ||
           (trial->is_required && trial->verdict != CANARY_PASSED);
}

/* Which service it was about, be it held or not. */
static size_t index_of(const struct snapshot *next, const struct canary_trial *trial)
{
    size_t i = 0;
    while (next->services[i]->account != trial->new->account) {
        i++;
    }
    return i;
}

static const char *what_is_new(const struct canary_trial *trial)
{
    bool has_same = profile_identity(trial->old->profile) == profile_identity(trial->new->profile);
    return has_same ? "CAs" : "certificate";
}

/* "127.0.0.1:8443 takes the certificate in use, but not the new one: client_cert_untrusted (...)"
 */
static const char *explain(const struct canary_trial *trial, const char *held,
                           char why[static WHY_LEN])
{
    char addr[ADDR_TEXT_MAX] = "any backend";
    const struct failure *failure = &trial->failure;
    if (trial->addr.len > 0) {
        addr_format(&trial->addr, addr);
    }
    if (trial->verdict == CANARY_REFUSED) {
        snprintf(why, WHY_LEN, "%s goes with the %s in use, but not with the new: %s (%s)", addr,
                 what_is_new(trial), reason_word(failure->reason), failure->detail);
    } else if (held != NULL) {
        snprintf(why, WHY_LEN, "%s", held); /* nobody has said otherwise since */
    } else {
        snprintf(why, WHY_LEN,
                 "canary = require, and the new %s could not be tried with %s: %s (%s)",
                 what_is_new(trial), addr, reason_word(failure->reason), failure->detail);
    }
    return why;
}

/* Other CAs are kept from use where the backend did not pass them, where that is required first, or
 * while they are since it did not. Where the CAs are the same, a new CRL is in force in any case.
 */
static bool keeps_cas(const struct canary_trial *trial, bool were_kept)
{
    const struct profile *then = trial->old->profile, *now = trial->new->profile;
    const struct failure *failure = &trial->failure;
    if (trust_has_same_cas(profile_trust(then), profile_trust(now))) {
        return false;
    }
    if (trial->verdict != CANARY_REFUSED) {
        return trial->is_required || were_kept;
    }
    return reason_side(failure->reason, failure->by_peer) == SIDE_WE_REFUSED ||
           profile_identity(then) == profile_identity(now);
}

/* Keeps of the old only what the trial failed for; the whole, where that is all that is new. */
static void hold(const struct snapshot *before, struct snapshot *next, size_t service,
                 const struct canary_trial *trial, const char *why, struct problems *problems)
{
    const struct profile *then = trial->old->profile, *now = trial->new->profile;
    bool were_kept =
        !trust_has_same_cas(profile_trust(then), snapshot_trust(before, next->was[service]));
    struct trust *trust = profile_trust(keeps_cas(trial, were_kept) ? then : now);
    bool is_same =
        trust == profile_trust(then) && same_service(&before->config->services[next->was[service]],
                                                     &next->config->services[service]);
    struct service *kept =
        is_same ? service_ref(trial->old)
                : roster_compose(next, service, trial->new, profile_identity(then), trust);
    if (kept == NULL || snapshot_hold(next, service, kept, why) < 0) {
        problems_error(problems, next->config->services[service].place, "out of memory");
    }
}

void verdicts_refuse(const struct snapshot *before, struct snapshot *next,
                     const struct canary_trial *trials, size_t n, struct problems *problems)
{
    char why[WHY_LEN];
    for (size_t i = 0; i < n; i++) {
        size_t at = index_of(next, &trials[i]);
        bool was_held = before->held[next->was[at]] != NULL;
        const struct config_service *service = &next->config->services[at];
        if (!is_lost(&trials[i], was_held)) {
            continue;
        }
        explain(&trials[i], before->held[next->was[at]], why);
        if (was_held) {
            problems_warning(problems, service->place,
                             "the service \"%s\" goes on as it was: %s; mend that, or set canary = "
                             "no",
                             service->name, why);
            hold(before, next, at, &trials[i], why, problems);
        } else {
            problems_error(problems, service->place,
                           "the service \"%s\" would be lost: %s; mend that, or set canary = no",
                           service->name, why);
        }
    }
}

static void log_hold(const struct canary_trial *trial, const char *why)
{
    const struct failure *failure = &trial->failure;
    struct log_line line;
    log_begin(&line, LEVEL_ERROR, "new files are not in use");
    log_text(&line, "service", trial->new->name);
    log_reason(&line, failure->reason, failure->by_peer);
    log_text(&line, "detail", why);
    log_text(&line, "advice", reason_advice(failure->reason));
    log_end(&line);
}

void verdicts_hold(const struct snapshot *before, struct snapshot *next,
                   const struct canary_trial *trials, size_t n, struct problems *problems)
{
    char why[WHY_LEN];
    for (size_t i = 0; i < n; i++) {
        const struct canary_trial *trial = &trials[i];
        size_t service = index_of(next, trial);
        const char *told = before->held[next->was[service]];
        if (!is_lost(trial, told != NULL)) {
            continue;
        }
        explain(trial, told, why);
        if (told == NULL || strcmp(told, why) != 0) {
            log_hold(trial, why);
        }
        hold(before, next, service, trial, why, problems);
    }
}

void verdicts_log_unasked(const struct snapshot *next, const struct canary_trial *trials, size_t n)
{
    const struct canary_trial *first = NULL;
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_held = next->held[index_of(next, &trials[i])] != NULL;
        if (trials[i].verdict == CANARY_UNKNOWN && !is_held) {
            first = first != NULL ? first : &trials[i];
            count++;
        }
    }
    if (first != NULL) {
        struct log_line line;
        log_begin(&line, LEVEL_WARNING, "backends could not be asked about what is new");
        log_number(&line, "services", count);
        log_text(&line, "service", first->new->name);
        log_reason(&line, first->failure.reason, first->failure.by_peer);
        log_text(&line, "detail", first->failure.detail);
        log_end(&line);
    }
}

/* ---- what the files hold ---- */

static void log_problem(const struct part *was, const struct part *now)
{
    struct log_line line;
    if (now->problem == NULL || (was->problem != NULL && strcmp(was->problem, now->problem) == 0)) {
        return;
    }
    log_begin(&line, LEVEL_ERROR, "a changed file cannot be used");
    log_text(&line, "problem", now->problem);
    log_text(&line, "detail", "what was read before stays in use");
    log_end(&line);
}

static void log_mended(const struct part *was, const struct part *now)
{
    if (was->problem != NULL && now->problem == NULL) {
        struct log_line line;
        log_begin(&line, LEVEL_INFO, "a file can be used again");
        log_text(&line, "file", now->files[0].path);
        log_end(&line);
    }
}

static void log_new(const struct part *was, const struct part *now, const char *message,
                    const struct inspect_facts *facts, size_t n)
{
    char date[SPAN_TEXT_MAX];
    struct log_line line;
    if (was->identity == now->identity && was->trust == now->trust) {
        return;
    }
    log_begin(&line, LEVEL_INFO, message);
    log_text(&line, "file", now->n_files > 0 ? now->files[0].path : now->ca);
    if (n > 0) {
        log_text(&line, "subject", facts[0].subject);
        log_text(&line, "not_after", span_format_date(facts[0].not_after, date));
    }
    log_end(&line);
}

void verdicts_log(const struct snapshot *before, const struct snapshot *next)
{
    for (size_t i = 0; i < next->config->n_certificates; i++) {
        const struct part *was = &before->identities[i], *now = &next->identities[i];
        size_t n = 0;
        const struct inspect_facts *facts = identity_facts(now->identity, &n);
        log_problem(was, now);
        log_mended(was, now);
        log_new(was, now, "a changed certificate was read", facts, n);
    }
    for (size_t i = 0; i < next->n_trusts; i++) {
        const struct part *was = &before->trusts[i], *now = &next->trusts[i];
        size_t n = 0;
        const struct inspect_facts *facts = trust_facts(now->trust, &n);
        log_problem(was, now);
        log_mended(was, now);
        log_new(was, now, "changed CAs or CRLs were read", facts, n);
    }
}
