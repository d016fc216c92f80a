/* The pin of a certificate: the SHA-256 of its SubjectPublicKeyInfo (RFC 7469 section 2.4). */
#pragma once

#include <stdint.h>

#include <gnutls/x509.h>

#define PIN_BYTES    32
#define PIN_TEXT_MAX 64 /* bytes of "sha256:BASE64", the final NUL included */

/* Returns -1 when the key cannot be read. */
int pin_of(gnutls_x509_crt_t crt, uint8_t ret_sha256[static PIN_BYTES]);

/* Writes the pin as the key `pin` takes it. Returns `text`. */
const char *pin_format(const uint8_t sha256[static PIN_BYTES], char text[static PIN_TEXT_MAX]);
