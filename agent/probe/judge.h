/* What the findings of a service mean: one verdict, what to do about it, and, where the link works,
 * warnings. */
#pragma once

#include "probe/report.h"

#include <time.h>

/* Fills in verdict, advice and warnings of a report that has everything else. `link` is what the
 * HTTP request found out about the session after its handshake, REASON_ok for nothing. */
void judge_service(struct report_service *service, const struct failure *link, time_t now);
