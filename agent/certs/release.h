/* GnuTLS's objects released at the end of a scope, for AUTO() of base/cleanup.h. Each accepts an
 * object that was never made. */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

static inline void release_crt(gnutls_x509_crt_t *crt)
{
    if (*crt != NULL) {
        gnutls_x509_crt_deinit(*crt);
    }
}

static inline void release_pubkey(gnutls_pubkey_t *key)
{
    if (*key != NULL) {
        gnutls_pubkey_deinit(*key);
    }
}

static inline void release_privkey(gnutls_privkey_t *key)
{
    if (*key != NULL) {
        gnutls_privkey_deinit(*key);
    }
}

static inline void release_x509_privkey(gnutls_x509_privkey_t *key)
{
    if (*key != NULL) {
        gnutls_x509_privkey_deinit(*key);
    }
}

static inline void release_datum(gnutls_datum_t *datum)
{
    gnutls_free(datum->data);
}
