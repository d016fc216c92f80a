#include "worker/account.h"

#include "base/clock.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* The reason and who sent the alert, in one word, so that the two belong together. */
#define BY_PEER_BIT 8

struct account *account_new(const char *name)
{
    struct account *account = aligned_alloc(alignof(struct account), sizeof(*account));
    if (account == NULL) {
        return NULL;
    }
    memset(account, 0, sizeof(*account));
    refs_init(&account->refs);
    account->name = strdup(name);
    account->connections = tally_new();
    account->attempts = tally_new();
    account->handshakes = tally_new();
    bool is_whole = account->name != NULL && account->connections != NULL &&
                    account->attempts != NULL && account->handshakes != NULL;
    return is_whole ? account : account_unref(account);
}

struct account *account_ref(struct account *account)
{
    refs_take(&account->refs);
    return account;
}

struct account *account_unref(struct account *account)
{
    if (account == NULL || !refs_drop(&account->refs)) {
        return NULL;
    }
    tally_free(account->connections);
    tally_free(account->attempts);
    tally_free(account->handshakes);
    free(atomic_load_explicit(&account->detail, memory_order_acquire));
    free(account->name);
    free(account);
    return NULL;
}

bool account_enter(struct account *account, uint64_t max)
{
    uint64_t open = atomic_load_explicit(&account->open, memory_order_relaxed);
    while (open < max) {
        if (atomic_compare_exchange_weak_explicit(&account->open, &open, open + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void account_leave(struct account *account)
{
    atomic_fetch_sub_explicit(&account->open, 1, memory_order_relaxed);
}

void account_note_success(struct account *account, bool is_resumed)
{
    atomic_fetch_add_explicit(is_resumed ? &account->resumed : &account->full, 1,
                              memory_order_relaxed);
    atomic_store_explicit(&account->succeeded_ms, clock_ms(), memory_order_relaxed);
}

void account_note_unconfirmed(struct account *account, const struct failure *failure,
                              bool is_resumed)
{
    if (reason_side(failure->reason, failure->by_peer) == SIDE_THEY_REFUSED) {
        tally_add(account->handshakes, failure->reason, failure->by_peer);
        tally_add(account->attempts, failure->reason, failure->by_peer);
    } else {
        account_note_success(account, is_resumed);
    }
}

void account_note_failure(struct account *account, const struct failure *failure)
{
    uint64_t word = (uint64_t)failure->reason | (uint64_t)failure->by_peer << BY_PEER_BIT;
    char *detail = strdup(failure->detail); /* NULL: the reason must do */
    free(atomic_exchange_explicit(&account->detail, detail, memory_order_acq_rel));
    atomic_store_explicit(&account->failure, word, memory_order_relaxed);
    atomic_store_explicit(&account->failed_ms, clock_ms(), memory_order_release);
}

/* The detail is taken out to be read, for a writer frees what it finds; and put back, unless there
 * is a newer one. */
bool account_last_failure(struct account *account, struct failure *ret_failure)
{
    if (atomic_load_explicit(&account->failed_ms, memory_order_acquire) == 0) {
        return false;
    }
    uint64_t word = atomic_load_explicit(&account->failure, memory_order_relaxed);
    char *detail = atomic_exchange_explicit(&account->detail, NULL, memory_order_acq_rel);
    failure_set(ret_failure, (enum reason)(word & ((1 << BY_PEER_BIT) - 1)), "%s",
                detail != NULL ? detail : "");
    ret_failure->by_peer = word >> BY_PEER_BIT;
    char *none = NULL;
    if (!atomic_compare_exchange_strong_explicit(&account->detail, &none, detail,
                                                 memory_order_acq_rel, memory_order_acquire)) {
        free(detail);
    }
    return true;
}
