/* What keeping sessions ready has taught about a backend: how long they last there, whether it is
 * well, and so when to try again. Of failures the first is told that comes behind a minute without.
 * Times are on uv_now(). */
#pragma once

#include "base/addr.h"
#include "base/failure.h"
#include "worker/backoff.h"
#include "worker/service.h"

#include <stdbool.h>
#include <stdint.h>

/* The times of a session that is kept ready. */
struct life {
    uint64_t begun_ms;
    uint64_t up_ms; /* its handshake was complete; a backend counts the idle time from there on */
    uint64_t ready_ms;
};

struct experience {
    const struct service *service; /* borrowed */
    struct backoff backoff;
    uint64_t max_age_ms; /* the service's, or less, where the backend closes sooner */
    uint64_t changed_ms; /* when that last changed */
    uint64_t closed_ms;  /* of the close that the next is compared with; 0: none */
    uint64_t closed_age_ms;
    uint64_t quiet_until_ms; /* failures are not told before */
    bool is_telling;         /* the first failure of a row was told */
    bool is_unwanted;        /* the backend ends sessions on which nothing is said */
};

/* Knows nothing yet. The service must outlive it. */
void experience_init(struct experience *experience, const struct service *service);

/* One could not be made; `addr` is where, with `len` 0 if that is not known. */
void experience_note_failure(struct experience *experience, uint64_t now_ms,
                             const struct addr *addr, const struct failure *failure);

/* The backend has ended one that was ready. A restart ends many at once, and teaches nothing. Where
 * one that was begun behind that ends like it, the backend's own idle limit shows: from then on
 * sessions are given up before it. Where they do not last at all, to make more of them would only
 * trouble the backend. */
void experience_note_close(struct experience *experience, uint64_t now_ms, const struct life *life,
                           const struct addr *addr, const struct failure *failure);

/* One has been of use, or has lived as long as experience_is_lasting() wants. */
void experience_note_proof(struct experience *experience, const struct life *life);

/* True for one that is ready: the backend has meant it. */
bool experience_is_lasting(uint64_t now_ms, const struct life *life);

/* One was given up for its age. Now and then a longer life is tried. */
void experience_note_age(struct experience *experience, uint64_t now_ms, const struct life *life);

/* The backend has accepted another session: it is up. True when one may be tried sooner now. */
bool experience_encourage(struct experience *experience);

/* True when one more may be begun; when that is to be asked again, if it is not; and whether there
 * was a failure since the last proof. */
bool experience_may_try(const struct experience *experience, uint64_t now_ms);
uint64_t experience_retry_ms(const struct experience *experience);
bool experience_is_bad(const struct experience *experience);

/* True when that one would prove that the failures are over. */
bool experience_would_prove(const struct experience *experience, const struct life *life);

/* The backend is elsewhere: it may be well there. */
void experience_start_over(struct experience *experience);
