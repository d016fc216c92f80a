/* Certificates as TLS and PKCS#12 carry them. For the rooms certs/ and tls/ only. */
#pragma once

#include <gnutls/x509.h>

/* Reads a certificate in DER. Returns -1 when it is none, or memory is out. The caller deinits it,
 * also on failure, unless it is NULL. */
int der_import(const gnutls_datum_t *der, gnutls_x509_crt_t *ret_crt);
