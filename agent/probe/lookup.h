/* Where the hosts of a service are: all of its `address` entries asked for at once. */
#pragma once

#include "control/dns.h"
#include "probe/report.h"

struct lookup;

/* Called once, when every host has its answer or failure, unless that was so from the start. */
typedef void lookup_done(void *ctx);

/* Begins to fill in the hosts of `report`. Returns NULL when memory is out. Never calls `done`
 * before it returns. */
struct lookup *lookup_start(struct dns *dns, struct report_service *report, lookup_done *done,
                            void *ctx);

/* True when nothing is left to wait for. */
bool lookup_is_over(const struct lookup *lookup);

/* Frees it; before `done` only after dns_free(). Accepts NULL; returns NULL. */
struct lookup *lookup_end(struct lookup *lookup);
