#include "config/build.h"

#include "config/value.h"

#include <stdlib.h>
#include <string.h>

/* One struct being filled. */
struct filling {
    enum schema_kind kind;
    struct place place;                   /* of the section */
    const struct draft_section *own;      /* what it says itself; may be NULL */
    const struct draft_section *defaults; /* what it inherits; may be NULL */
    const struct config *config;
    struct problems *problems;
    void *target;
};

static void fill_one(const struct filling *filling, const struct schema_key *key, const char *text,
                     struct place place)
{
    const struct value value = {key, text, place, filling->config, filling->problems};
    value_read(&value, filling->target);
}

/* Reads all values that a section gives for a key. Returns false when it gives none. */
static bool fill_from(const struct filling *filling, const struct draft_section *section,
                      const struct schema_key *key)
{
    bool found = false;
    for (size_t i = 0; section != NULL && i < section->n_entries; i++) {
        const struct draft_entry *entry = &section->entries[i];
        if (entry->key == key) {
            fill_one(filling, key, entry->text, entry->place);
            found = true;
        }
    }
    return found;
}

/* Notes a required key that is not there. */
static void miss(const struct filling *filling, const struct schema_key *key)
{
    problems_error(filling->problems, filling->place,
                   "the %s \"%s\" has no %s; add one, as in %s = %s",
                   schema_kind_word(filling->kind), filling->own->name, key->name, key->name,
                   key->example);
}

/* Gives every key its value: the section's own, else the inherited one, else the standard one. */
static void fill(const struct filling *filling)
{
    size_t n;
    const struct schema_key *keys = schema_keys(&n);
    for (size_t i = 0; i < n; i++) {
        const struct schema_key *key = &keys[i];
        if (!schema_belongs(key, filling->kind) || key->type == NULL ||
            fill_from(filling, filling->own, key) || fill_from(filling, filling->defaults, key)) {
            continue;
        }
        if (key->standard != NULL) {
            fill_one(filling, key, key->standard, filling->place);
        } else if (key->is_required && filling->kind != SCHEMA_DEFAULTS) {
            miss(filling, key);
        }
    }
}

static void start_service(struct config_service *service)
{
    service->socket_user = (uid_t)-1;
    service->socket_group = (gid_t)-1;
}

/* Reads [defaults] as a service of its own, so that it is checked once, and also when no service
 * inherits from it. */
static void check_defaults(const struct draft_section *defaults, struct config *config,
                           struct problems *problems)
{
    struct config_service service = {0};
    const struct filling filling = {.kind = SCHEMA_DEFAULTS,
                                    .place = defaults->place,
                                    .own = defaults,
                                    .config = config,
                                    .problems = problems,
                                    .target = &service};
    start_service(&service);
    fill(&filling);
    build_release(SCHEMA_SERVICE, &service);
}

static void build_agent(const struct draft *draft, struct config *config, struct problems *problems)
{
    const struct draft_section *agent = draft_find(draft, SCHEMA_AGENT);
    const struct filling filling = {.kind = SCHEMA_AGENT,
                                    .place = {config->files[0], 0},
                                    .own = agent,
                                    .config = config,
                                    .problems = problems,
                                    .target = &config->agent};
    fill(&filling);
}

static size_t count(const struct draft *draft, enum schema_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < draft->n_sections; i++) {
        n += draft->sections[i]->kind == kind ? 1 : 0;
    }
    return n;
}

static int build_certificates(const struct draft *draft, struct config *config,
                              struct problems *problems)
{
    config->certificates =
        calloc(count(draft, SCHEMA_CERTIFICATE) + 1, sizeof(*config->certificates));
    if (config->certificates == NULL) {
        return -1;
    }
    for (size_t i = 0; i < draft->n_sections; i++) {
        const struct draft_section *section = draft->sections[i];
        if (section->kind != SCHEMA_CERTIFICATE) {
            continue;
        }
        struct config_certificate *certificate = &config->certificates[config->n_certificates++];
        const struct filling filling = {.kind = SCHEMA_CERTIFICATE,
                                        .place = section->place,
                                        .own = section,
                                        .config = config,
                                        .problems = problems,
                                        .target = certificate};
        certificate->place = section->place;
        certificate->name = strdup(section->name);
        if (certificate->name == NULL) {
            return -1;
        }
        fill(&filling);
    }
    return 0;
}

/* Fills the next service of the configuration. */
static int build_service(const struct draft_section *section, const struct draft_section *defaults,
                         struct config *config, struct problems *problems)
{
    struct config_service *service = &config->services[config->n_services++];
    const struct filling filling = {.kind = SCHEMA_SERVICE,
                                    .place = section->place,
                                    .own = section,
                                    .defaults = defaults,
                                    .config = config,
                                    .problems = problems,
                                    .target = service};
    start_service(service);
    service->place = section->place;
    service->name = strdup(section->name);
    if (service->name == NULL) {
        return -1;
    }
    fill(&filling);
    return 0;
}

static int build_services(const struct draft *draft, struct config *config,
                          const struct draft_section **drafts, struct problems *problems)
{
    const struct draft_section *defaults = draft_find(draft, SCHEMA_DEFAULTS);
    if (defaults != NULL) {
        check_defaults(defaults, config, problems);
    }
    config->services = calloc(count(draft, SCHEMA_SERVICE) + 1, sizeof(*config->services));
    if (config->services == NULL) {
        return -1;
    }
    for (size_t i = 0; i < draft->n_sections; i++) {
        if (draft->sections[i]->kind == SCHEMA_SERVICE) {
            drafts[config->n_services] = draft->sections[i];
            if (build_service(draft->sections[i], defaults, config, problems) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int build_config(const struct draft *draft, struct config *config,
                 const struct draft_section ***ret_drafts, struct problems *problems)
{
    const struct draft_section **drafts =
        calloc(count(draft, SCHEMA_SERVICE) + 1, sizeof(struct draft_section *));
    if (drafts == NULL) {
        return -1;
    }
    build_agent(draft, config, problems);
    if (build_certificates(draft, config, problems) < 0 ||
        build_services(draft, config, drafts, problems) < 0) {
        free(drafts);
        return -1;
    }
    *ret_drafts = drafts;
    return 0;
}

void build_release(enum schema_kind kind, void *target)
{
    size_t n;
    const struct schema_key *keys = schema_keys(&n);
    for (size_t i = 0; i < n; i++) {
        if (schema_belongs(&keys[i], kind)) {
            value_release(&keys[i], target);
        }
    }
}
