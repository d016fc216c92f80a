/* The backend of an established session, as it stands in the eyes of a profile. */
#pragma once

#include "base/failure.h"
#include "tls/profile.h"
#include "tls/tls.h"

#include <stdbool.h>
#include <time.h>

/* Judges the peer of an established session anew, by the rules of another profile: its CAs, CRLs,
 * names and pins. Dates count as well, by the clock of now. The session is not disturbed. Returns
 * false with the reason in `ret_failure` when it would not pass. */
bool peer_would_pass(struct tls *tls, struct profile *profile, struct failure *ret_failure);

/* False when something has run out by now that the session rests on: the peer's chain, what it was
 * judged by, or our own certificate. */
bool peer_is_current(const struct tls *tls);

/* The end of validity of the certificate that the peer presented last, accepted or not; 0: none has
 * been seen. */
time_t peer_not_after(const struct tls *tls);
