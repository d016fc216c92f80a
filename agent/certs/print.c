#include "certs/print.h"

#include "base/secret.h"

#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#define SIZE_MAX_BYTES (32 * 1024 * 1024)

void print_take(const char *path, struct print *ret_print)
{
    struct secret content = {0};
    const char *why;
    struct print print = {0};
    if (secret_read(path, SIZE_MAX_BYTES, &content, &why) == 0) {
        print.is_there =
            gnutls_hash_fast(GNUTLS_DIG_SHA256, content.bytes, content.len, print.sha256) == 0;
        secret_release(&content);
    }
    *ret_print = print;
}

bool print_same(const struct print *a, const struct print *b)
{
    return a->is_there == b->is_there &&
           (!a->is_there || memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0);
}
