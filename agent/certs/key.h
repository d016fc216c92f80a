/* The private key of an identity. For the room certs/ only. */
#pragma once

#include "base/problems.h"
#include "certs/identity.h"

#include <gnutls/abstract.h>

/* Reads and tries the key that `source` names, with the password file's help if it is encrypted.
 * Warns of files that others may read or change. Returns NULL after noting an error. The caller
 * deinits it. */
gnutls_privkey_t key_read(const struct identity_source *source, struct problems *problems);
