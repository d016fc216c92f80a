/* An approval: that a chain, byte for byte, has passed the whole trust decision of one profile for
 * one host, and between which times that holds. With it the same chain need not be judged with each
 * handshake, nor with each resumption, where GnuTLS judges nothing. Immutable, shared by reference
 * count. For the room tls/ only. */
#pragma once

#include "base/name.h"
#include "tls/profile.h"

#include <stdbool.h>
#include <time.h>

#include <gnutls/gnutls.h>

struct approval;

/* To be called when verify_peer() has let the session's peer pass. Holds no longer than the
 * certificates, CAs, CRLs and stapled statuses that it rests on, and an hour at most. Returns
 * NULL when there is no such time, or memory is out. */
struct approval *approval_new(gnutls_session_t session, struct profile *profile,
                              const struct name *host);

struct approval *approval_ref(struct approval *approval);
struct approval *approval_unref(struct approval *approval); /* accepts NULL; returns NULL */

/* True when verify_peer(), asked now, would let the session's peer pass, and it need not be asked.
 * A resumed session has no stapled status of its own; it rests on the one that came with the chain.
 */
bool approval_covers(const struct approval *approval, gnutls_session_t session,
                     const struct profile *profile, const struct name *host);

/* True while it holds; and while it shall be relied on for new sessions, which is half as long:
 * what was begun with it then does not end with it. */
bool approval_holds(const struct approval *approval, time_t now);
bool approval_is_young(const struct approval *approval, time_t now);

/* The end of validity of the peer's own certificate. */
time_t approval_not_after(const struct approval *approval);
