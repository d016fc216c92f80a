#include "control/verdicts.h"

#include "base/log.h"
#include "base/span.h"

#include <stdio.h>
#include <string.h>

#define WHY_LEN 768

/* ---- what the backends said ---- */

static bool is_lost(const struct canary_trial *trial)
{
    return trial->verdict == CANARY_REFUSED ||
           (trial->is_required && trial->verdict != CANARY_PASSED);
}

static size_t index_of(const struct snapshot *snapshot, const struct service *service)
{
    size_t i = 0;
    while (snapshot->services[i] != service) {
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
static const char *explain(const struct canary_trial *trial, char why[static WHY_LEN])
{
    char addr[ADDR_TEXT_MAX] = "any backend";
    const struct failure *failure = &trial->failure;
    if (trial->addr.len > 0) {
        addr_format(&trial->addr, addr);
    }
    if (trial->verdict == CANARY_REFUSED) {
        snprintf(why, WHY_LEN, "%s goes with the %s in use, but not with the new: %s (%s)", addr,
                 what_is_new(trial), reason_word(failure->reason), failure->detail);
    } else {
        snprintf(why, WHY_LEN,
                 "canary = require, and the new %s could not be tried with %s: %s (%s)",
                 what_is_new(trial), addr, reason_word(failure->reason), failure->detail);
    }
    return why;
}

static void hold(struct snapshot *next, size_t service, const struct canary_trial *trial,
                 const char *why, struct problems *problems)
{
    if (snapshot_hold(next, service, trial->old, why) < 0) {
        problems_error(problems, next->config->services[service].place, "out of memory");
    }
}

void verdicts_refuse(const struct snapshot *before, struct snapshot *next,
                     const struct canary_trial *trials, size_t n, struct problems *problems)
{
    char why[WHY_LEN];
    for (size_t i = 0; i < n; i++) {
        if (!is_lost(&trials[i])) {
            continue;
        }
        size_t at = index_of(next, trials[i].new);
        const struct config_service *service = &next->config->services[at];
        explain(&trials[i], why);
        if (before->held[next->was[at]] != NULL) {
            problems_warning(problems, service->place,
                             "the service \"%s\" goes on as it was: %s; mend that, or set canary = "
                             "no",
                             service->name, why);
            hold(next, at, &trials[i], why, problems);
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
        if (!is_lost(trial)) {
            continue;
        }
        size_t service = index_of(next, trial->new);
        const char *told = before->held[next->was[service]];
        explain(trial, why);
        if (told == NULL || strcmp(told, why) != 0) {
            log_hold(trial, why);
        }
        hold(next, service, trial, why, problems);
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
