#include "config/rules.h"

#include "base/cleanup.h"
#include "config/claims.h"
#include "config/value_tls.h"

#include <string.h>

/* One service under examination. */
struct subject {
    const struct config *config;
    const struct config_service *service;
    const struct draft_section *section, *defaults;
    struct problems *problems;
};

/* Where a service says a key itself; its header's place when it does not. */
static struct place place_of(const struct subject *subject, const char *key)
{
    const struct draft_entry *entry =
        draft_find_entry(subject->section, schema_find(SCHEMA_SERVICE, key));
    return entry != NULL ? entry->place : subject->section->place;
}

static void check_certificate(const struct subject *subject)
{
    char known[256];
    const struct config_service *service = subject->service;
    const struct schema_key *key = schema_find(SCHEMA_SERVICE, "certificate");
    /* One that is given and yet not known was refused before. */
    if (!service->presents_certificate || draft_find_entry(subject->section, key) != NULL ||
        draft_find_entry(subject->defaults, key) != NULL) {
        return;
    }
    problems_error(subject->problems, service->place,
                   "the service \"%s\" has no certificate; add certificate = NAME (%s), or "
                   "tls_mode = tls",
                   service->name, value_tls_known(subject->config, known, sizeof(known)));
}

static void check_versions(const struct subject *subject)
{
    const struct config_service *service = subject->service;
    /* 0: was refused. */
    if (service->tls_max > 0 && service->tls_min > service->tls_max) {
        const struct place place = place_of(subject, "tls_min");
        problems_error(
            subject->problems, place,
            "tls_min is newer than tls_max in the service \"%s\"; raise tls_max or lower "
            "tls_min",
            service->name);
    }
}

/* Where a socket of systemd's listens is known only when it is handed over. */
static void check_exposure(const struct subject *subject)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < subject->service->n_listens && !subject->service->expose; i++) {
        const struct config_listen *listen = &subject->service->listens[i];
        if (listen->systemd == NULL && !addr_is_loopback(&listen->addr)) {
            problems_error(subject->problems, listen->place,
                           "listen = %s can be reached from other hosts, in plaintext; use "
                           "127.0.0.1, or say expose = yes in the service \"%s\"",
                           addr_format(&listen->addr, text), subject->service->name);
        }
    }
}

/* Warns of settings for UNIX sockets in a service that has none. */
static void check_sockets(const struct subject *subject)
{
    static const char *const names[] = {"socket_user", "socket_group", "socket_mode"};
    for (size_t i = 0; i < subject->service->n_listens; i++) {
        if (subject->service->listens[i].addr.sa.sa_family == AF_UNIX) {
            return;
        }
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct schema_key *key = schema_find(SCHEMA_SERVICE, names[i]);
        const struct draft_entry *entry = draft_find_entry(subject->section, key);
        bool says_nothing =
            entry == NULL || (key->standard != NULL && strcmp(entry->text, key->standard) == 0);
        if (!says_nothing) {
            problems_warning(subject->problems, entry->place,
                             "%s has no effect without a listen = unix:/PATH; remove it", names[i]);
        }
    }
}

/* An identity is cert and key, or else pkcs12. */
static void check_identity(const struct draft_section *section, struct problems *problems)
{
    const struct schema_key *cert = schema_find(SCHEMA_CERTIFICATE, "cert");
    const struct schema_key *key = schema_find(SCHEMA_CERTIFICATE, "key");
    const struct schema_key *pkcs12 = schema_find(SCHEMA_CERTIFICATE, "pkcs12");
    const struct draft_entry *whole = draft_find_entry(section, pkcs12);
    bool has_cert = draft_find_entry(section, cert) != NULL;
    bool has_key = draft_find_entry(section, key) != NULL;
    if (whole != NULL && (has_cert || has_key)) {
        problems_error(problems, whole->place,
                       "the certificate \"%s\" has pkcs12 and also %s; give pkcs12 alone, or cert "
                       "and key",
                       section->name, has_cert ? cert->name : key->name);
    } else if (whole == NULL && !has_cert && !has_key) {
        problems_error(problems, section->place,
                       "the certificate \"%s\" has neither cert and key nor pkcs12; add cert = %s "
                       "and key = %s, or pkcs12 = %s",
                       section->name, cert->example, key->example, pkcs12->example);
    } else if (whole == NULL && has_cert != has_key) {
        const struct schema_key *missing = has_cert ? key : cert;
        problems_error(problems, section->place,
                       "the certificate \"%s\" has no %s; add one, as in %s = %s", section->name,
                       missing->name, missing->name, missing->example);
    }
}

/* `off` stands alone. */
static void check_status(const struct config_agent *agent, struct problems *problems)
{
    for (size_t i = 0; i < agent->n_status && agent->n_status > 1; i++) {
        if (agent->status[i].addr.len == 0) {
            problems_error(problems, agent->status[i].place,
                           "status is off and also on; remove off, or all other values");
        }
    }
}

/* By kind and name, and those that are equal as they came. */
static int compare_sections(const void *a, const void *b)
{
    const struct draft_section *left = *(const struct draft_section *const *)a;
    const struct draft_section *right = *(const struct draft_section *const *)b;
    if (left->kind != right->kind) {
        return left->kind < right->kind ? -1 : 1;
    }
    return strcmp(left->name, right->name);
}

/* Finds services and certificates of one name. */
static int check_names(const struct draft *draft, struct problems *problems)
{
    AUTO_FREE const struct draft_section **sorted = calloc(draft->n_sections + 1, sizeof(*sorted));
    if (sorted == NULL) {
        return -1;
    }
    for (size_t i = 0; i < draft->n_sections; i++) {
        sorted[i] = draft->sections[i];
    }
    qsort(sorted, draft->n_sections, sizeof(*sorted), compare_sections);
    for (size_t i = 1; i < draft->n_sections; i++) {
        const struct draft_section *section = sorted[i], *first = sorted[i - 1];
        if (schema_kind_is_named(section->kind) && compare_sections(&section, &first) == 0) {
            problems_error(problems, section->place,
                           "there is a second %s \"%s\"; rename it, for it was first set at %s:%u",
                           schema_kind_word(section->kind), section->name, first->place.file,
                           first->place.line);
        }
    }
    return 0;
}

int rules_check(const struct config *config, const struct draft *draft,
                const struct draft_section *const *drafts, struct problems *problems)
{
    const struct draft_section *defaults = draft_find(draft, SCHEMA_DEFAULTS);
    for (size_t i = 0; i < config->n_services; i++) {
        const struct subject subject = {config, &config->services[i], drafts[i], defaults,
                                        problems};
        check_certificate(&subject);
        check_versions(&subject);
        check_exposure(&subject);
        check_sockets(&subject);
    }
    for (size_t i = 0; i < draft->n_sections; i++) {
        if (draft->sections[i]->kind == SCHEMA_CERTIFICATE) {
            check_identity(draft->sections[i], problems);
        }
    }
    check_status(&config->agent, problems);
    if (config->n_services == 0 && problems_errors(problems) == 0) {
        problems_error(problems, (struct place){config->files[0], 0},
                       "there is no [service NAME] section; add one, or an include that has one");
    }
    return check_names(draft, problems) < 0 ? -1 : claims_check(config, problems);
}
