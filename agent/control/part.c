#include "control/part.h"

#include <stdlib.h>
#include <string.h>

/* How often files are read that change meanwhile. */
#define READ_MAX 3

/* ---- files ---- */

static void add_file(struct part *part, const char *path)
{
    if (path != NULL) {
        struct filewatch_file *file = &part->files[part->n_files++];
        file->path = path;
        print_take(path, &file->print);
        part->used[part->n_files - 1] = file->print;
    }
}

static bool has_same_paths(const struct part *a, const struct part *b)
{
    if (a->n_files != b->n_files) {
        return false;
    }
    for (size_t i = 0; i < a->n_files; i++) {
        if (strcmp(a->files[i].path, b->files[i].path) != 0) {
            return false;
        }
    }
    return true;
}

/* True when what `before` uses is what the same files hold, still or again. */
static bool is_unchanged(const struct part *part, const struct part *before)
{
    if (before == NULL || part->n_files == 0 || !has_same_paths(part, before)) {
        return false;
    }
    for (size_t i = 0; i < part->n_files; i++) {
        if (!print_same(&part->files[i].print, &before->used[i])) {
            return false;
        }
    }
    return true;
}

/* True when the files were the same before and after they were read; else the prints are those of
 * now. */
static bool held_still(struct part *part)
{
    bool is_still = true;
    for (size_t i = 0; i < part->n_files; i++) {
        struct print now;
        print_take(part->files[i].path, &now);
        is_still = is_still && print_same(&now, &part->files[i].print);
        part->files[i].print = part->used[i] = now;
    }
    return is_still;
}

static int note_motion(const struct part *part, struct place place, struct problems *problems)
{
    problems_error(problems, place,
                   "%s: it, or what goes with it, changed while it was read; try "
                   "again",
                   part->files[0].path);
    return -1;
}

/* ---- identities ---- */

static struct identity_source source_of(const struct config_certificate *certificate)
{
    return (struct identity_source){
        .cert = certificate->cert.path,
        .key = certificate->key.path,
        .pkcs12 = certificate->pkcs12.path,
        .password_file = certificate->password_file.path,
        .cert_place = certificate->cert.place,
        .key_place = certificate->key.place,
        .pkcs12_place = certificate->pkcs12.place,
        .password_place = certificate->password_file.place,
    };
}

static int load_identity(struct part *part, const struct identity_source *source,
                         struct problems *problems)
{
    for (unsigned i = 0; i < READ_MAX; i++) {
        struct identity *identity = identity_load(source, problems);
        if (identity == NULL || held_still(part)) {
            part->identity = identity;
            return identity != NULL ? 0 : -1;
        }
        identity_unref(identity);
    }
    return note_motion(part, source->pkcs12 != NULL ? source->pkcs12_place : source->cert_place,
                       problems);
}

int part_read_identity(struct part *part, const struct config_certificate *certificate,
                       const struct part *before, struct problems *problems)
{
    *part = (struct part){0};
    add_file(part, certificate->cert.path);
    add_file(part, certificate->key.path);
    add_file(part, certificate->pkcs12.path);
    add_file(part, certificate->password_file.path);
    const struct identity_source source = source_of(certificate);
    if (is_unchanged(part, before)) {
        part->identity = identity_ref(before->identity);
        identity_warn_of_dates(part->identity, &source, problems);
        return 0;
    }
    return load_identity(part, &source, problems);
}

/* ---- CAs and CRLs ---- */

static bool is_system(const struct config_service *service)
{
    return strcmp(service->ca.path, "system") == 0;
}

static void add_trust_files(struct part *part, const struct config_service *service)
{
    if (!is_system(service)) {
        add_file(part, service->ca.path);
    }
    for (size_t i = 0; i < service->n_crls; i++) {
        add_file(part, service->crls[i].path);
    }
}

bool part_is_trust_of(const struct part *part, const struct config_service *service)
{
    size_t at = is_system(service) ? 0 : 1;
    if (strcmp(part->ca, service->ca.path) != 0 || part->n_files != at + service->n_crls) {
        return false;
    }
    for (size_t i = 0; i < service->n_crls; i++) {
        if (strcmp(part->files[at + i].path, service->crls[i].path) != 0) {
            return false;
        }
    }
    return true;
}

/* `crls` is room that the source refers to. */
static struct trust_source trust_source_of(const struct config_service *service,
                                           struct trust_crl crls[static PART_CRLS_MAX])
{
    for (size_t i = 0; i < service->n_crls; i++) {
        const struct config_crl *crl = &service->crls[i];
        crls[i] = (struct trust_crl){.path = crl->path, .url = crl->url, .place = crl->place};
    }
    return (struct trust_source){
        .ca = service->ca.path,
        .ca_place = service->ca.place,
        .crls = crls,
        .n_crls = service->n_crls,
    };
}

static int load_trust(struct part *part, const struct trust_source *source,
                      struct problems *problems)
{
    for (unsigned i = 0; i < READ_MAX; i++) {
        struct trust *trust = trust_load(source, problems);
        if (trust == NULL || held_still(part)) {
            part->trust = trust;
            return trust != NULL ? 0 : -1;
        }
        trust_unref(trust);
    }
    return note_motion(part, source->ca_place, problems);
}

/* Other files may hold the same, and the system's are not known by name. */
static void prefer(struct part *part, const struct part *before)
{
    if (before != NULL && before->trust != NULL && trust_has_same_cas(part->trust, before->trust) &&
        trust_has_same_crls(part->trust, before->trust)) {
        trust_unref(part->trust);
        part->trust = trust_ref(before->trust);
    }
}

int part_read_trust(struct part *part, const struct config_service *service,
                    const struct part *before, struct problems *problems)
{
    *part = (struct part){.ca = service->ca.path};
    add_trust_files(part, service);
    struct trust_crl crls[PART_CRLS_MAX];
    const struct trust_source source = trust_source_of(service, crls);
    if (!is_system(service) && is_unchanged(part, before)) {
        part->trust = trust_ref(before->trust);
        trust_warn_of_dates(part->trust, &source, problems);
        return 0;
    }
    if (load_trust(part, &source, problems) < 0) {
        return -1;
    }
    prefer(part, before);
    return 0;
}

/* ---- both ---- */

int part_keep(struct part *part, const struct part *before, const char *problem)
{
    part->problem = strdup(problem);
    memcpy(part->used, before->used, sizeof(part->used));
    part->identity = before->identity != NULL ? identity_ref(before->identity) : NULL;
    part->trust = before->trust != NULL ? trust_ref(before->trust) : NULL;
    return part->problem != NULL ? 0 : -1;
}

void part_release(struct part *part)
{
    identity_unref(part->identity);
    trust_unref(part->trust);
    free(part->problem);
    *part = (struct part){0};
}
