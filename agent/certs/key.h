/* The private key of an identity. For the room certs/ only. */
#pragma once

#include "base/problems.h"
#include "base/secret.h"
#include "certs/identity.h"

#include <stdbool.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#define KEY_ID_BYTES 32 /* SHA-256 */

/* Reads and tries the key that `source` names, with the password file's help if it is encrypted.
 * Warns of files that others may read or change. Returns NULL after noting an error. The caller
 * deinits it. */
gnutls_privkey_t key_read(const struct identity_source *source, struct problems *problems);

/* Reads the password file without its last newline, and warns as key_read() does. Without a
 * password file the password stays empty, with NULL bytes. Returns -1 after noting an error. */
int key_password(const struct identity_source *source, struct problems *problems,
                 struct secret *ret_password);

/* Warns of a secret file that others may read or change. */
void key_warn_of_mode(const char *path, struct place place, struct problems *problems);

/* Checks the kind of a decoded key, and tries it. Returns what signs with a copy of it, or NULL
 * after noting an error. The caller deinits it. */
gnutls_privkey_t key_accept(const struct identity_source *source, gnutls_x509_privkey_t key,
                            struct problems *problems);

/* Notes that a key cannot be decoded, for GnuTLS's `rc`. Returns -1. */
int key_refuse(const struct identity_source *source, int rc, struct problems *problems);

/* The identifier of the public half. Returns -1 when memory is out. */
int key_id(gnutls_privkey_t key, unsigned char ret_id[static KEY_ID_BYTES]);

/* True for a certificate of the key that has this identifier. */
bool key_is_of(gnutls_x509_crt_t crt, const unsigned char id[static KEY_ID_BYTES]);
