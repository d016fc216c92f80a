/* A running agent at a glance: how its services are, what needs attention, and the process. */
#pragma once

#include "cli/document.h"
#include "cli/sheet.h"

/* True for the state of a service that carries nothing now. */
bool overview_is_fault(const struct document_service *service);

/* One line: a service and its state. */
void overview_print_title(const struct document_service *service, const struct sheet *sheet);

/* One line: how many services are in which state. */
void overview_print_verdict(const struct document *document, const struct sheet *sheet);

/* One line with the names of those that carry nothing; no line when there are none. */
void overview_print_faults(const struct document *document, const struct sheet *sheet);

/* The table of services, those that carry nothing first, the others in the configuration's order;
 * on `max_lines` lines at most, the last of which then counts what is left out. */
void overview_print_services(const struct document *document, const struct sheet *sheet,
                             size_t max_lines);
