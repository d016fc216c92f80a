/* What the findings of a service mean: one verdict, what to do about it, and, where the link works,
 * warnings. */
#pragma once

#include "probe/report.h"

#include <time.h>

/* Fills in verdict, advice and warnings of a report that has everything else. `link` is why
 * the session failed that carried the HTTP request, before there was an answer; REASON_ok: it did
 * not. */
void judge_service(struct report_service *service, const struct failure *link, time_t now);
