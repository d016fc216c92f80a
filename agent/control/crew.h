/* All workers of the process, and what they are told together. */
#pragma once

#include "worker/worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew;

/* Starts `n` workers. Returns NULL, with errno set, when one of them cannot be started. */
struct crew *crew_start(size_t n, struct worker_watcher watcher);

size_t crew_size(const struct crew *crew);
struct worker *const *crew_workers(const struct crew *crew);

/* True when all orders that were given have been carried out. */
bool crew_is_settled(const struct crew *crew);

void crew_drain(struct crew *crew);
void crew_cut(struct crew *crew);
bool crew_is_drained(const struct crew *crew);

/* Ends all workers and waits for them. Accepts NULL; returns NULL. */
struct crew *crew_stop(struct crew *crew);

/* A change for every worker, under construction. Memory that runs out on the way is remembered, so
 * that it can be asked for at the end, before anything is handed over. */
struct order;

/* Begins an order; `n_slots` as for change_new(). NULL when memory is out. */
struct order *order_new(const struct crew *crew, size_t n_slots);

/* Steps for all workers; what they mean is said in worker/change.h. */
void order_refresh(struct order *order);
void order_serve(struct order *order, struct service *service, bool is_elsewhere);
void order_remove(struct order *order, size_t service_id);
void order_move(struct order *order, size_t service_id, uint64_t door);
void order_close(struct order *order, uint64_t door);
void order_resolve(struct order *order, size_t service_id, struct endpoints *endpoints);
void order_retire(struct order *order, enum retirement_cause cause, struct service *service,
                  struct retirement_terms terms);

/* A listening socket for each worker: `fds` has one for each. The sockets are the order's from here
 * on, and the workers' when it was given. */
void order_open(struct order *order, size_t service_id, uint64_t door, const int *fds,
                enum change_queue queue);

/* False when memory ran out: the order can only be freed. */
bool order_is_whole(const struct order *order);

/* Hands a whole order over, and frees it. */
void order_give(struct order *order, struct crew *crew);

/* Accepts NULL; returns NULL. */
struct order *order_free(struct order *order);
