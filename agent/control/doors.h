/* The doors: where callers knock. Each `listen` of each service is one, or as many as systemd hands
 * over by its name. A reload keeps those that stay, opens what is new before anything is closed,
 * and gives a door that belongs to another service now to that one. */
#pragma once

#include "base/problems.h"
#include "control/crew.h"
#include "control/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

struct doors;
struct publish;

/* Makes a house without doors, for `n_workers` workers. With `is_shared` an older agent may still
 * listen at the same places. NULL when memory is out. */
struct doors *doors_new(size_t n_workers, bool is_shared);

/* How many descriptors opening all doors of a configuration takes. */
size_t doors_needed(const struct config *config, size_t n_workers);

/* True when a door, as they are now, is at that address, or in the way of it. */
bool doors_are_at(const struct doors *doors, const struct addr *addr);

/* The doors as they are to be, with what is new of them open already. */
struct doors_plan;

/* Opens what a snapshot needs and is not open yet, also where the status endpoint still is. Returns
 * NULL after noting, with its place, what cannot be opened; nothing is changed then. The plan holds
 * only until the next one is carried out. */
struct doors_plan *doors_plan(const struct doors *doors, const struct publish *publish,
                              const struct snapshot *next, struct problems *problems);

/* Lets callers find what was opened. What could fail was done before; if it fails all the same, the
 * log is told. */
void doors_show(struct doors_plan *plan);

/* Adds to an order what of the plan is to be done before services are removed. */
void doors_order(struct doors_plan *plan, struct order *order);

/* The order was given: from here on the doors are those of the plan, which is freed. */
void doors_commit(struct doors *doors, struct doors_plan *plan);

/* Closes again what was opened for it. Accepts NULL; returns NULL. */
struct doors_plan *doors_plan_free(struct doors_plan *plan);

/* Removes the files of UNIX sockets, once: nobody is to knock any more. */
void doors_unlink(struct doors *doors);

/* Frees; the sockets are the workers'. Accepts NULL; returns NULL. */
struct doors *doors_free(struct doors *doors);
