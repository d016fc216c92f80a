/* What a probe has found, in words for a tired person. Text that comes from elsewhere
 * (certificates, DNS, HTTP) is made fit for a terminal. */
#pragma once

#include "probe/report.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

/* Prints a service: the verdict, why, what to do, and the lines that matter for that verdict.
 * Certificates with less than REPORT_SOON_DAYS left at `now` are marked "(!)". */
void text_print(const struct report_service *service, time_t now, bool in_colour, FILE *out);

/* Prints how many services are not good, and which, where there are several services at all. */
void text_print_total(const struct report *report, FILE *out);
