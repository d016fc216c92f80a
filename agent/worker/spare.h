/* One session that is made ahead of its caller: connected, verified and, as far as that can be
 * known, accepted by the backend. While it waits the backend's close is seen, and what it says
 * first is kept for the caller. */
#pragma once

#include "base/failure.h"
#include "base/list.h"
#include "worker/endpoints.h"
#include "worker/experience.h"
#include "worker/service.h"
#include "worker/upstream.h"
#include "worker/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct spare;

/* Told by a spare; either may free it, or take it. Where one was lost, spare_addr() tells. */
struct spare_events {
    void (*ready)(void *ctx, struct spare *spare); /* once */
    void (*lost)(void *ctx, struct spare *spare, const struct failure *failure);
};

/* Begins to make one, with the endpoint number `first` to be tried first. The service must outlive
 * it. `link` of the spare is the owner's. Returns NULL, with the failure set, when that fails at
 * once. */
struct spare *spare_start(struct worker *worker, const struct service *service,
                          struct endpoints *endpoints, size_t first,
                          const struct spare_events *events, void *ctx,
                          struct failure *ret_failure);

struct list *spare_link(struct spare *spare);
struct spare *spare_of(struct list *link);

/* When it was begun, was established and became ready, as far as it is. */
const struct life *spare_life(const struct spare *spare);

/* When its owner will give it up, on uv_now(); the owner's to set. */
uint64_t spare_until_ms(const struct spare *spare);
void spare_set_until(struct spare *spare, uint64_t until_ms);

/* Where it leads to, or where it was lost; `len` 0: not known yet. */
const struct addr *spare_addr(const struct spare *spare);

/* True when an established one leads to one of these. */
bool spare_leads_to(const struct spare *spare, const struct endpoints *endpoints);

/* True when it may be handed out. */
bool spare_is_ready(const struct spare *spare);

/* False when something has run out that the session rests on, for example a certificate. */
bool spare_is_current(const struct spare *spare);

/* True when the backend has not closed a session that is ready, as far as can be seen here; `lost`
 * is not told. */
bool spare_is_open(struct spare *spare);

/* Moves a session that is ready to `ret_upstream`, and frees the spare. */
void spare_take(struct spare *spare, struct upstream *ret_upstream);

/* Ends the interest in a session that is ready: nothing of it is told any more, and its service may
 * go. It is left to be freed, whenever there is time for that. */
void spare_retire(struct spare *spare);

/* Closes and frees it; an established session in order. Accepts NULL; returns NULL. */
struct spare *spare_free(struct spare *spare);
