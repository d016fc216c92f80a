#include "config/config.h"

#include "config/build.h"
#include "config/read.h"
#include "config/rules.h"

#include <stdio.h>
#include <stdlib.h>

/* A service that presents none has no certificate, whatever [defaults] says. */
static void drop_unused_certificates(struct config *config)
{
    for (size_t i = 0; i < config->n_services; i++) {
        if (!config->services[i].presents_certificate) {
            config->services[i].certificate = NULL;
        }
    }
}

struct config *config_load(const char *path, struct problems *problems)
{
    struct draft draft = {0};
    const struct draft_section **drafts = NULL;
    struct config *config = calloc(1, sizeof(*config));
    if (config != NULL) {
        refs_init(&config->refs);
    }
    if (config == NULL || read_files(path, config, &draft, problems) < 0 ||
        build_config(&draft, config, &drafts, problems) < 0) {
        goto fail;
    }
    drop_unused_certificates(config);
    if (rules_check(config, &draft, drafts, problems) < 0) {
        goto fail;
    }
    free(drafts);
    draft_release(&draft);
    return config;

fail:
    free(drafts);
    draft_release(&draft);
    return config_free(config);
}

struct config *config_ref(struct config *config)
{
    refs_take(&config->refs);
    return config;
}

struct config *config_free(struct config *config)
{
    if (config == NULL || !refs_drop(&config->refs)) {
        return NULL;
    }
    build_release(SCHEMA_AGENT, &config->agent);
    for (size_t i = 0; i < config->n_certificates; i++) {
        build_release(SCHEMA_CERTIFICATE, &config->certificates[i]);
        free(config->certificates[i].name);
    }
    for (size_t i = 0; i < config->n_services; i++) {
        build_release(SCHEMA_SERVICE, &config->services[i]);
        free(config->services[i].name);
    }
    for (size_t i = 0; i < config->n_files; i++) {
        free(config->files[i]);
    }
    free(config->certificates);
    free(config->services);
    free(config->files);
    free(config);
    return NULL;
}

const char *config_listen_format(const struct config_listen *listen,
                                 char text[static CONFIG_LISTEN_TEXT_MAX])
{
    if (listen->systemd == NULL) {
        return addr_format(&listen->addr, text);
    }
    snprintf(text, CONFIG_LISTEN_TEXT_MAX, "systemd:%s", listen->systemd);
    return text;
}
