/* The trust decision: may this backend receive plaintext? */
#pragma once

#include "base/failure.h"
#include "base/name.h"
#include "tls/profile.h"

#include <gnutls/gnutls.h>

/* Judges the peer of a session by the profile's rules: its chain leads to the profile's CAs only
 * (RFC 5280 section 6), every certificate of it is in date, allows serving TLS and, where CRLs are
 * given, passes them (see revocation.h), the leaf is no CA, it names `host` or what the profile
 * wants instead (RFC 6125 section 6), its key is pinned, if any is, and a status that it promises
 * to staple is there (RFC 7633 section 4.2.2). Returns 0, or -1 with the reason and its evidence in
 * `ret_failure`. For GnuTLS's verify callback. */
int verify_peer(gnutls_session_t session, const struct profile *profile, const struct name *host,
                struct failure *ret_failure);
