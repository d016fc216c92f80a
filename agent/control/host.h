/* One host name that services point to: where it is now, asked again when its TTL has run out, and
 * sooner while DNS fails. */
#pragma once

#include "control/answer.h"
#include "control/dns.h"

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

struct host;

/* Called when host_answer() has changed, and, while there is none, when host_failure() has. */
typedef void host_changed(void *ctx);

/* Makes a host that is not asked for yet. `name` is copied. Returns NULL when memory is out. */
struct host *host_new(uv_loop_t *loop, struct dns *dns, const char *name);

const char *host_name(const struct host *host);

/* Says for the log which services need it; owns `users`, which is on the heap. */
void host_set_users(struct host *host, char *users);

/* Begins to ask, if that is not done yet, and calls `changed` from now on, perhaps before this
 * returns. */
void host_watch(struct host *host, host_changed *changed, void *ctx);

/* The last good answer; NULL: there never was one. */
const struct answer *host_answer(const struct host *host);

/* How long ago that answer was confirmed last, in milliseconds; -1: there never was one. */
int64_t host_age_ms(const struct host *host);

/* Why the last question failed, as a clause; NULL when it did not, or is still under way. */
const char *host_failure(const struct host *host);

/* Nobody needs the host any more: nothing more is asked, and `changed` is not called. It is to be
 * freed when host_is_asking() is false. */
void host_leave(struct host *host);
bool host_is_asking(const struct host *host);

/* Ends the host, which has no question under way, or one that dns_free() has ended. The loop must
 * turn once more for the memory to be freed. Accepts NULL; returns NULL. */
struct host *host_free(struct host *host);
