/* What one worker remembers of a service's endpoints, for the sessions to come. It lives as long as
 * the service is what it is: a reload begins anew, and so does an endpoint that DNS takes away. */
#pragma once

#include "tls/resumption.h"
#include "worker/endpoints.h"
#include "worker/service.h"

struct tickets;

/* Remembers nothing yet. The service must outlive it. NULL when memory is out. */
struct tickets *tickets_new(const struct service *service);

/* Forgets all, also in sessions that are still to leave something. Accepts NULL; returns NULL. */
struct tickets *tickets_free(struct tickets *tickets);

/* What is remembered of an endpoint; NULL when memory is out. */
struct resumption *tickets_of(struct tickets *tickets, const struct endpoint *endpoint);

/* Forgets tickets that are too old to be offered, of which nobody else may ever ask. */
void tickets_expire(struct tickets *tickets);

/* Forgets whatever is not of these endpoints. */
void tickets_restrict(struct tickets *tickets, const struct endpoints *endpoints);
