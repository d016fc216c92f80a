#include "control/prefetch.h"

#include <string.h>
#include <unistd.h>

#define ASKED_MAX 16

static bool is_missing(const struct config_crl *crl)
{
    return crl->url != NULL && access(crl->path, F_OK) < 0;
}

static bool ask(const struct config_service *service, const struct config_crl *crl,
                struct crl_fetch *fetch)
{
    if (crl_fetch_prepare() < 0) {
        return false;
    }
    fetch->url = crl->url;
    fetch->path = crl->path;
    fetch->ca = service->ca.path;
    crl_fetch_run(fetch);
    return fetch->is_new;
}

static bool wants(const struct config *config, const char *path)
{
    for (size_t i = 0; i < config->n_services; i++) {
        for (size_t k = 0; k < config->services[i].n_crls; k++) {
            if (strcmp(config->services[i].crls[k].path, path) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Files that were asked for; a thousand services mostly share one. */
struct asked {
    const char *paths[ASKED_MAX];
    size_t n;
};

static bool is_asked(const struct asked *asked, const char *path)
{
    for (size_t i = 0; i < asked->n; i++) {
        if (strcmp(asked->paths[i], path) == 0) {
            return true;
        }
    }
    return false;
}

bool prefetch_crls(const struct config *before, const struct config *next, struct crl_fetch *fetch)
{
    struct asked asked = {.n = 0};
    bool has_come = false;
    for (size_t i = 0; i < next->n_services; i++) {
        const struct config_service *service = &next->services[i];
        for (size_t k = 0; k < service->n_crls && asked.n < ASKED_MAX; k++) {
            const struct config_crl *crl = &service->crls[k];
            if (!is_missing(crl) || is_asked(&asked, crl->path) || wants(before, crl->path) ||
                atomic_load(&fetch->cancelled)) {
                continue;
            }
            asked.paths[asked.n++] = crl->path;
            has_come = ask(service, crl, fetch) || has_come;
        }
    }
    return has_come;
}
