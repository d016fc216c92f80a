/* What time brings: certificates of ours that run out, a wall clock that is set, a service whose
 * new certificate no backend wanted yet. Looked at once a minute, and when something is due. */
#pragma once

#include "config/config.h"
#include "worker/retirement.h"

#include <stdint.h>

struct control;
struct upkeep;

/* Returns NULL when memory is out. */
struct upkeep *upkeep_start(struct control *control);

/* There is another snapshot: something may be due sooner. */
void upkeep_wake(struct upkeep *upkeep);

/* By when connections end that a service retires at `from_ms` by clock_ms(); for one whose `retire`
 * is not never. */
void upkeep_terms(const struct config_agent *agent, const struct config_service *service,
                  uint64_t from_ms, struct retirement_terms *ret_terms);

/* The loop must turn once more for the memory to be freed. Accepts NULL; returns NULL. */
struct upkeep *upkeep_stop(struct upkeep *upkeep);
