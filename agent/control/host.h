/* One host name that services point to: where it is now, asked again when its TTL has run out, and
 * sooner while DNS fails. */
#pragma once

#include "control/answer.h"
#include "control/dns.h"

#include <uv.h>

struct host;

/* Called when host_answer() has changed, and, while there is none, when host_failure() has. */
typedef void host_changed(void *ctx);

/* Makes a host that is not asked for yet. `name` must outlive it; `users` says for the log which
 * services need it, and is copied. Returns NULL when memory is out. */
struct host *host_new(uv_loop_t *loop, struct dns *dns, const char *name, const char *users);

/* Begins to ask. May call `changed` before it returns. */
void host_watch(struct host *host, host_changed *changed, void *ctx);

/* The last good answer; NULL: there never was one. */
const struct answer *host_answer(const struct host *host);

/* Why the last question failed, as a clause; NULL when it did not, or is still under way. */
const char *host_failure(const struct host *host);

/* Ends the host, after dns_free() has ended its question. The loop must turn once more for the
 * memory to be freed. Accepts NULL; returns NULL. */
struct host *host_free(struct host *host);
