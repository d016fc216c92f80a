/* How a change reaches a running agent: what is new is read on a thread of libuv's pool, tried out
 * with the backends where it needs that, and put in the place of the old; or refused as a whole.
 * One at a time: whoever asks meanwhile is served by the next one, together with all others who
 * ask. */
#pragma once

#include "base/list.h"
#include "control/outcome.h"

#include <stdbool.h>

struct control;
struct reload;

/* Called once, with what came of it; NULL: the agent is stopping, and nothing did. */
typedef void reload_done(void *ctx, const struct outcome *outcome);

/* Somebody who waits for a reload: his memory, until `done` is called. */
struct reload_waiter {
    struct list link;
    reload_done *done;
    void *ctx;
};

/* Returns NULL when memory is out. */
struct reload *reload_new(struct control *control);

/* Asks for a reload, which begins after this call, of the configuration and every file it names:
 * all or nothing. `waiter` may be NULL. */
void reload_request(struct reload *reload, struct reload_waiter *waiter);

/* Asks for what has changed of the files, with the configuration as it is. What is bad, or not
 * taken by a backend, stays as it was where it is used. */
void reload_request_files(struct reload *reload);

/* To be called when the workers may have carried out what a reload has changed: only then it is
 * over, and old sockets are closed. */
void reload_settle(struct reload *reload);

/* What came of the last reload of all. */
const struct outcome *reload_last(const struct reload *reload);

/* True when a reload of files came to nothing, so that another one is due. */
bool reload_is_owed(const struct reload *reload);

/* The agent drains: what is under way comes to nothing, and nothing more is begun. */
void reload_end(struct reload *reload);

/* After reload_end(). What is being read is waited for by the loop, which must turn until nothing
 * is left to do; the snapshot in use must last as long. Accepts NULL; returns NULL. */
struct reload *reload_free(struct reload *reload);
