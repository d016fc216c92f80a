#include "tls/pin.h"

#include "base/cleanup.h"
#include "certs/release.h"

#include <stdio.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>

int pin_of(gnutls_x509_crt_t crt, uint8_t ret_sha256[static PIN_BYTES])
{
    AUTO(release_pubkey) gnutls_pubkey_t key = NULL;
    AUTO(release_datum) gnutls_datum_t der = {0};
    if (gnutls_pubkey_init(&key) < 0) {
        key = NULL;
        return -1;
    }
    if (gnutls_pubkey_import_x509(key, crt, 0) < 0 ||
        gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) < 0) {
        return -1;
    }
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, ret_sha256) < 0 ? -1 : 0;
}

const char *pin_format(const uint8_t sha256[static PIN_BYTES], char text[static PIN_TEXT_MAX])
{
    const gnutls_datum_t raw = {(unsigned char *)(uintptr_t)sha256, PIN_BYTES};
    AUTO(release_datum) gnutls_datum_t base64 = {0};
    gnutls_base64_encode2(&raw, &base64);
    snprintf(text, PIN_TEXT_MAX, "sha256:%.*s", (int)base64.size,
             base64.data != NULL ? (const char *)base64.data : "");
    return text;
}
