/* What the sessions with one endpoint leave for those that follow: tickets, each to be used once,
 * and the approval of the chain that it showed last. It is made for one profile and one host, and
 * nothing in it ever serves another. Shared by reference count within one thread. */
#pragma once

#include "base/name.h"
#include "tls/profile.h"
#include "tls/tls.h"

#include <stdbool.h>
#include <stddef.h>

struct resumption;

/* Makes one with a reference, which holds at most `max_tickets`; with 0 no session is ever resumed.
 * NULL when memory is out. */
struct resumption *resumption_new(struct profile *profile, const struct name *host,
                                  size_t max_tickets);

struct resumption *resumption_ref(struct resumption *resumption);
struct resumption *resumption_unref(struct resumption *resumption); /* accepts NULL; returns NULL */

/* Gives a session that has not begun to speak what may spare it a part of the handshake. The
 * session's handshake may run in another thread. */
void resumption_offer(struct resumption *resumption, struct tls *tls);

/* Takes what the session has left so far: to be called when its handshake is complete, and whenever
 * something was read from it. Costs nothing when there is nothing new. */
void resumption_collect(struct resumption *resumption, struct tls *tls);

/* Forgets the tickets: the backend may have refused a session that offered one. */
void resumption_forget(struct resumption *resumption);

/* Forgets the tickets that are too old to be offered: secrets that are of no use any more. */
void resumption_expire(struct resumption *resumption);

/* A handshake that offered a ticket has failed, perhaps over it: none is offered for ten seconds,
 * and for twice as long each time, up to ten minutes, until a session is resumed again. A restart
 * looks like that once, a backend that cannot bear tickets always. */
void resumption_pause(struct resumption *resumption);

/* Forgets all, for good: what it was made for is over. */
void resumption_end(struct resumption *resumption);

/* Tickets that are there now, the fresh and the others: for tests. */
size_t resumption_tickets(const struct resumption *resumption);
