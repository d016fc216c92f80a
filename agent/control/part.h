/* A part of a snapshot that is read from files: an identity, or a set of CAs with its CRLs; with
 * the fingerprints of the files, so that a change of them is seen and what has not changed is not
 * read again. */
#pragma once

#include "base/problems.h"
#include "certs/identity.h"
#include "certs/trust.h"
#include "config/config.h"
#include "control/filewatch.h"

#include <stdbool.h>
#include <stddef.h>

#define PART_CRLS_MAX  CONFIG_CRLS_MAX
#define PART_FILES_MAX (1 + PART_CRLS_MAX)

struct part {
    struct identity *identity; /* a reference; or */
    struct trust *trust;       /* a reference; NULL both: it could not be read */
    const char *ca;            /* of a trust: the configuration's path, or "system" */
    struct filewatch_file files[PART_FILES_MAX]; /* paths: the configuration's; prints: of what was
                                                  * read, or tried last */
    struct print used[PART_FILES_MAX];           /* prints of what is in use */
    size_t n_files;
    char *problem; /* why what the files hold is not in use, but what they held before; or NULL */
};

/* Reads an identity, or the CAs and CRLs of a service. What `before`, which may be NULL, was made
 * of is used again if the same files have the same content. Returns -1 after noting why it cannot
 * be used; the part then has none. To be released in either case. */
int part_read_identity(struct part *part, const struct config_certificate *certificate,
                       const struct part *before, struct problems *problems);
int part_read_trust(struct part *part, const struct config_service *service,
                    const struct part *before, struct problems *problems);

/* True when a service's CAs and CRLs are those of the part's files. */
bool part_is_trust_of(const struct part *part, const struct config_service *service);

/* Uses what `before` has, though the files hold something else, and says why. Returns -1 when
 * memory is out. */
int part_keep(struct part *part, const struct part *before, const char *problem);

void part_release(struct part *part);
