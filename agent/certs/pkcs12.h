/* PKCS#12 files (RFC 7292), as .pfx and .p12: a key and its certificates in one, with a password.
 * For the room certs/ only. */
#pragma once

#include "base/problems.h"
#include "certs/bundle.h"
#include "certs/identity.h"

#include <gnutls/abstract.h>

/* Reads the file that `source->pkcs12` names, and `cert` and `key` too, with the password file's
 * help: its one key, checked as key_accept() does, and the chain of that key's certificate,
 * whatever the order in the file. Certificates that are not in the chain are left out with a
 * warning that names them, roots without one. Returns -1 after noting at least one error. The
 * caller deinits the key and owns the chain (bundle_release). */
int pkcs12_read(const struct identity_source *source, struct problems *problems,
                gnutls_privkey_t *ret_key, struct bundle *ret_chain);
