/* The services of a snapshot: made of its parts, or those in use where nothing of them has changed.
 */
#pragma once

#include "control/snapshot.h"

/* Fills in the services of a snapshot whose parts are all good, and what is told of each. `before`
 * is the snapshot in use, or NULL; the ledger, which may be NULL, has the accounts of services that
 * were removed, and may come back. Notes what a service cannot be made of; it is NULL then. Returns
 * -1 when memory is out. */
int roster_fill(struct snapshot *snapshot, const struct snapshot *before,
                const struct ledger *ledger, struct problems *problems);

/* Makes service `i` of a whole snapshot once more, with another identity and other CAs than its
 * files have, in the place of `like`. Returns NULL when memory is out. */
struct service *roster_compose(const struct snapshot *snapshot, size_t i,
                               const struct service *like, struct identity *identity,
                               struct trust *trust);

/* Notes what roster_fill() would find wrong with `priority`, where it cannot be called. */
void roster_check_priorities(const struct config *config, struct problems *problems);
