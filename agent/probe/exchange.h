/* The HTTP part of an inquiry: one request by libcurl through a session of ours, or through the
 * running agent. Without a method of the operator's it is HEAD, and then GET where HEAD was
 * answered with an error: only that brings the words with which nginx refuses a certificate. */
#pragma once

#include "probe/inquiry.h"
#include "probe/visit.h"

struct exchange;

/* Called once, unless the exchange was ended before. The report has what came of it. */
typedef void exchange_done(void *ctx);

/* Begins to fill in the HTTP part of `report` anew. The request goes to the endpoint that is
 * `report->asked`: through the open session of `visit`, or, when that is NULL, through a new one.
 * Owns `visit` from here on, also on failure. Returns NULL when memory is out. Never calls `done`
 * before it returns. */
struct exchange *exchange_start(const struct inquiry_means *means, const struct service *service,
                                struct report_service *report, struct visit *visit,
                                exchange_done *done, void *ctx);

/* Why the session failed, or was never there; REASON_ok when it did not. It may have failed behind
 * a good answer. */
const struct failure *exchange_failure(const struct exchange *exchange);

/* Moves out the newest ticket of its sessions; NULL: there is none. */
struct ticket *exchange_take_ticket(struct exchange *exchange);

/* Ends and frees it. Accepts NULL; returns NULL. */
struct exchange *exchange_end(struct exchange *exchange);
