/* The CRLs of one file. */
#pragma once

#include "certs/crl.h"

#include <stddef.h>
#include <time.h>

#define CRL_FILE_MAX (32U * 1024 * 1024) /* bytes of a file that is read */

struct crl_file {
    struct crl **crls;
    size_t n;
};

/* Reads the CRLs of a file, in PEM (RFC 7468) or one in DER; every one must be good, and nothing
 * else may stand in the file. Returns -1 with a clause in `why`. The caller releases what it got.
 */
int crl_file_read(const char *path, struct crl_file *ret_file, char why[static CRL_WHY_MAX]);

/* The same with what a file would hold. */
int crl_file_parse(const char *bytes, size_t len, struct crl_file *ret_file,
                   char why[static CRL_WHY_MAX]);

void crl_file_release(struct crl_file *file);

/* When the first of them ends; 0: there is none. */
time_t crl_file_next_update(const struct crl_file *file);
