/* The accounts of all services: of those that are configured, and of those that are no longer,
 * while they have connections, or ends that were not told. */
#pragma once

#include "worker/account.h"

#include <stddef.h>
#include <stdint.h>

struct snapshot;

struct ledger {
    struct account **accounts; /* references */
    size_t n, size;
    uint64_t generation;
};

/* Makes room for the services of a snapshot besides what is there. Returns -1 when memory is out.
 */
int ledger_reserve(struct ledger *ledger, const struct snapshot *next);

/* Enters the services of a snapshot, for which there is room, and drops who is no longer of use. */
void ledger_take(struct ledger *ledger, const struct snapshot *snapshot);

/* The account of that name, or NULL; `ledger` may be NULL. The ledger must not change meanwhile. */
struct account *ledger_find(const struct ledger *ledger, const char *name);

/* Connections now, over all accounts. */
uint64_t ledger_open(const struct ledger *ledger);

void ledger_release(struct ledger *ledger);
