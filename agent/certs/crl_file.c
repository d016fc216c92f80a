#include "certs/crl_file.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "certs/pem.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTS_MAX 1000 /* in one file: each is looked at in every handshake */

/* A SEQUENCE that is too long for one byte of length, as every CRL is. */
static bool is_der(const char *bytes, size_t len)
{
    return len > 2 && (uint8_t)bytes[0] == 0x30 && ((uint8_t)bytes[1] & 0x80) != 0;
}

/* Takes the bytes over, also on failure. */
static int add(struct crl_file *file, uint8_t *der, size_t len, char *why)
{
    struct crl **crls = reallocarray(file->crls, file->n + 1, sizeof(struct crl *));
    if (crls == NULL) {
        free(der);
        snprintf(why, CRL_WHY_MAX, "does not fit into memory");
        return -1;
    }
    file->crls = crls;
    struct crl *crl = crl_parse(der, len, why);
    if (crl == NULL) {
        return -1;
    }
    crls[file->n++] = crl;
    return 0;
}

static int add_copy(struct crl_file *file, const void *der, size_t len, char *why)
{
    uint8_t *copy = malloc(len);
    if (copy == NULL) {
        snprintf(why, CRL_WHY_MAX, "does not fit into memory");
        return -1;
    }
    memcpy(copy, der, len);
    return add(file, copy, len, why);
}

/* Says which of several it is that something is wrong with. */
static void say_line(unsigned line, char *why)
{
    char fault[CRL_WHY_MAX];
    snprintf(fault, sizeof(fault), "%s", why);
    snprintf(why, CRL_WHY_MAX, "at line %u: %.*s", line, CRL_WHY_MAX - 32, fault);
}

static int add_block(struct crl_file *file, const struct pem_block *block, char *why)
{
    gnutls_datum_t der = {NULL, 0};
    if (!pem_is(block, "X509 CRL")) {
        snprintf(why, CRL_WHY_MAX, "the %.*s at line %u is no CRL; remove it",
                 (int)(block->label_len < 40 ? block->label_len : 40), block->label, block->line);
        return -1;
    }
    if (file->n == LISTS_MAX) {
        snprintf(why, CRL_WHY_MAX, "holds more than %d CRLs", LISTS_MAX);
        return -1;
    }
    if (gnutls_pem_base64_decode2("X509 CRL", &block->text, &der) < 0) {
        snprintf(why, CRL_WHY_MAX, "at line %u: is damaged; fetch it anew", block->line);
        return -1;
    }
    int rc = add_copy(file, der.data, der.size, why);
    gnutls_free(der.data);
    if (rc < 0) {
        say_line(block->line, why);
    }
    return rc;
}

static int add_blocks(struct crl_file *file, const char *bytes, size_t len, char *why)
{
    struct pem_cursor cursor = {.at = bytes, .end = bytes + len, .line = 1};
    struct pem_block block;
    int found;
    while ((found = pem_next(&cursor, &block)) > 0) {
        if (add_block(file, &block, why) < 0) {
            return -1;
        }
    }
    if (found < 0) {
        snprintf(why, CRL_WHY_MAX,
                 "BEGIN and END do not pair up at line %u; the file is damaged or cut short",
                 block.line);
        return -1;
    }
    if (file->n == 0) {
        snprintf(why, CRL_WHY_MAX,
                 len == 0 ? "is empty; put the CRL into it"
                          : "holds no CRL, neither in PEM nor in DER");
        return -1;
    }
    return 0;
}

int crl_file_parse(const char *bytes, size_t len, struct crl_file *ret_file,
                   char why[static CRL_WHY_MAX])
{
    AUTO(crl_file_release) struct crl_file file = {0};
    if (len == 0) {
        snprintf(why, CRL_WHY_MAX, "is empty");
        return -1;
    }
    int rc =
        is_der(bytes, len) ? add_copy(&file, bytes, len, why) : add_blocks(&file, bytes, len, why);
    if (rc < 0) {
        return -1;
    }
    *ret_file = file;
    file = (struct crl_file){0};
    return 0;
}

int crl_file_read(const char *path, struct crl_file *ret_file, char why[static CRL_WHY_MAX])
{
    AUTO_FREE char *bytes = NULL;
    size_t len;
    const char *fault;
    if (file_read(path, CRL_FILE_MAX, &bytes, &len, &fault) < 0) {
        snprintf(why, CRL_WHY_MAX, "cannot be read: %s; check its name and permissions", fault);
        return -1;
    }
    return crl_file_parse(bytes, len, ret_file, why);
}

void crl_file_release(struct crl_file *file)
{
    for (size_t i = 0; i < file->n; i++) {
        crl_free(file->crls[i]);
    }
    free(file->crls);
    *file = (struct crl_file){0};
}

time_t crl_file_next_update(const struct crl_file *file)
{
    time_t first = 0;
    for (size_t i = 0; i < file->n; i++) {
        time_t next = crl_next_update(file->crls[i]);
        if (i == 0 || next < first) {
            first = next;
        }
    }
    return first;
}
