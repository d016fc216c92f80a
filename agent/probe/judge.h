/* What the findings of a service mean: one verdict, what to do about it, and, where the link works,
 * warnings. */
#pragma once

#include "probe/report.h"

#include <time.h>

/* Fills in verdict, advice and warnings of a report that has everything else. A verdict that is
 * there already stands. */
void judge_service(struct report_service *service, time_t now);
