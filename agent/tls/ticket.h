/* What resumes a session: a ticket, or in TLS 1.2 perhaps a session identifier, with the secrets
 * that belong to it (RFC 8446 section 4.6.1, RFC 5077), and the approval of the chain that the
 * backend showed. */
#pragma once

#include "tls/tls.h"

#include <stdbool.h>

struct ticket;

/* Takes the newest ticket out of an established session that keeps them, as tls_observe() or
 * resumption_offer() has it; NULL when there is none. The caller owns it. */
struct ticket *ticket_take(struct tls *tls);

/* True when ticket_take() has one to give. */
bool ticket_is_there(const struct tls *tls);

/* Offers the ticket in a session that has not begun to speak, for the same service, endpoint and
 * name. Whether the backend takes it, tls_is_resumed() tells; the trust decision is made again in
 * any case. Returns -1 when it cannot be offered. */
int ticket_offer(struct tls *tls, const struct ticket *ticket);

/* True while it is young enough to be offered, and its backend's chain would pass. */
bool ticket_is_fresh(const struct ticket *ticket);

/* Wipes and frees. Accepts NULL; returns NULL. */
struct ticket *ticket_free(struct ticket *ticket);
