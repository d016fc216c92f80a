#include "control/ledger.h"

#include "control/snapshot.h"

#include <stdlib.h>
#include <string.h>

int ledger_reserve(struct ledger *ledger, const struct snapshot *next)
{
    size_t size = ledger->n + next->config->n_services;
    if (size > ledger->size) {
        struct account **grown = reallocarray(ledger->accounts, size, sizeof(struct account *));
        if (grown == NULL) {
            return -1;
        }
        ledger->accounts = grown;
        ledger->size = size;
    }
    return 0;
}

static uint64_t open_of(const struct account *account)
{
    return atomic_load_explicit(&account->open, memory_order_relaxed);
}

/* One that has departed just now may still get connections, from the queues of its doors. */
static bool is_of_use(const struct ledger *ledger, const struct account *account)
{
    return account->generation + 1 >= ledger->generation || open_of(account) > 0 ||
           tally_is_folding(account->connections) || tally_is_folding(account->attempts);
}

static void drop_departed(struct ledger *ledger)
{
    size_t kept = 0;
    for (size_t i = 0; i < ledger->n; i++) {
        struct account *account = ledger->accounts[i];
        if (is_of_use(ledger, account)) {
            ledger->accounts[kept++] = account;
        } else {
            account->is_listed = false;
            account_unref(account);
        }
    }
    ledger->n = kept;
}

void ledger_take(struct ledger *ledger, const struct snapshot *snapshot)
{
    ledger->generation++;
    for (size_t i = 0; i < snapshot->config->n_services; i++) {
        struct account *account = snapshot->services[i]->account;
        if (!account->is_listed) {
            account->is_listed = true;
            ledger->accounts[ledger->n++] = account_ref(account);
        }
        account->generation = ledger->generation;
    }
    drop_departed(ledger);
}

struct account *ledger_find(const struct ledger *ledger, const char *name)
{
    for (size_t i = 0; ledger != NULL && i < ledger->n; i++) {
        if (strcmp(ledger->accounts[i]->name, name) == 0) {
            return ledger->accounts[i];
        }
    }
    return NULL;
}

uint64_t ledger_open(const struct ledger *ledger)
{
    uint64_t open = 0;
    for (size_t i = 0; i < ledger->n; i++) {
        open += open_of(ledger->accounts[i]);
    }
    return open;
}

void ledger_release(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->n; i++) {
        account_unref(ledger->accounts[i]);
    }
    free(ledger->accounts);
    *ledger = (struct ledger){0};
}
