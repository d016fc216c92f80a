/* Every place at which the agent listens belongs to one service, or to the status endpoint. */
#pragma once

#include "base/problems.h"
#include "config/config.h"

/* Notes places that are claimed twice, and addresses of backends that lead back to this agent.
 * Returns -1 when memory is out. */
int claims_check(const struct config *config, struct problems *problems);
