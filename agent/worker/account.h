/* What is counted for a service. An account lasts as long as the service is configured, whatever
 * else of it changes, and beyond that until its last connection has ended. It is shared by
 * reference count; all threads write to it, and none waits for another. Times are those of
 * clock_ms(), 0: never. */
#pragma once

#include "base/failure.h"
#include "base/refs.h"
#include "worker/histogram.h"
#include "worker/tally.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Sessions that are made ahead of the callers. Each that was made ends in one of the counts. */
struct account_warm {
    _Atomic(uint64_t) ready;   /* now, over all workers */
    _Atomic(uint64_t) used;    /* handed to a caller */
    _Atomic(uint64_t) aged;    /* given up for their age, or what they rested on had run out */
    _Atomic(uint64_t) closed;  /* by the backend, while they waited */
    _Atomic(uint64_t) dropped; /* by a reload, a change of DNS, for want of demand, or at the end */
    _Atomic(uint64_t) failed;  /* could not be made */
};

struct account {
    struct refs refs;
    char *name;          /* the service's; owned */
    uint64_t generation; /* the control plane's own: the last one in which it was configured, */
    bool is_listed;      /* and whether its ledger has it */

    _Atomic(uint64_t) open;   /* connections now, over all workers */
    _Atomic(uint64_t) opened; /* since the start, those that were refused included */
    alignas(64) _Atomic(uint64_t) sent, received; /* bytes of plaintext to the backend, and from
                                                   * it; apart, for they change all the time */

    struct tally *connections;       /* owned: how connections ended */
    struct tally *attempts;          /* owned: why attempts to reach a backend failed */
    struct tally *handshakes;        /* owned: those of them that had come as far as TLS */
    _Atomic(uint64_t) full, resumed; /* handshakes, when the backend has confirmed them */
    struct histogram connecting;     /* TCP, of attempts that were connected */
    struct histogram handshaking;    /* TLS, of handshakes that were completed */
    struct account_warm warm;

    _Atomic(int64_t) backend_not_after; /* of the certificate last seen, seconds since 1970; 0: none
                                         * was seen */
    _Atomic(uint64_t) succeeded_ms;     /* the last good handshake */
    _Atomic(uint64_t) failed_ms;        /* the last failure to reach a backend */
    _Atomic(uint64_t) failure;          /* and why; for account_last_failure() */
    _Atomic(char *) detail;             /* owned; for account_last_failure() */
};

/* Makes an account with one reference. NULL when memory is out. */
struct account *account_new(const char *name);

struct account *account_ref(struct account *account);
struct account *account_unref(struct account *account); /* accepts NULL; returns NULL */

/* Takes one of `max` places for a connection, over all workers. False when all are taken: nothing
 * is counted then, so a caller that is refused is in nobody's way. */
bool account_enter(struct account *account, uint64_t max);

/* Gives a place back that account_enter() took. */
void account_leave(struct account *account);

/* Notes that a backend has accepted us. */
void account_note_success(struct account *account, bool is_resumed);

/* Notes the end of a session that no backend had confirmed. A TLS 1.3 backend that refuses us does
 * so behind the handshake, which then was none; one that never spoke has not refused us. */
void account_note_unconfirmed(struct account *account, const struct failure *failure,
                              bool is_resumed);

/* Notes that a backend could not be reached, or was lost, and why. */
void account_note_failure(struct account *account, const struct failure *failure);

/* The failure noted last. For one reading thread at a time. Returns false when there was none. */
bool account_last_failure(struct account *account, struct failure *ret_failure);
