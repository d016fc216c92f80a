/* A c-ares channel on a libuv loop. It asks the resolvers that were configured when it was opened.
 * c-ares may call back inside any call made on it; from there it must be retired, not closed. */
#pragma once

#include "base/list.h"

#include <stdbool.h>

#include <ares.h>
#include <uv.h>

struct channel {
    struct list link; /* the owner's; left on closing */
    ares_channel ares;
    unsigned asked; /* questions without an answer yet; the owner counts */

    uv_loop_t *loop;
    uv_timer_t timer;
    struct list sockets;
    unsigned handles; /* of libuv that are not closed yet */
    bool is_retired;
};

/* Opens a channel. Returns NULL when that is impossible. */
struct channel *channel_open(uv_loop_t *loop);

/* To be called after a question was put on `channel->ares`: sets the timer for c-ares's next
 * deadline. */
void channel_settle(struct channel *channel);

/* Closes the channel as soon as it has no question left. Nothing new may be asked. */
void channel_retire(struct channel *channel);

/* Writes the addresses of the channel's resolvers, separated by commas, cut to `size`. Returns
 * `text`. */
const char *channel_servers(struct channel *channel, char *text, size_t size);

/* Ends all questions, whose callbacks get ARES_EDESTRUCTION at once; the memory is freed when the
 * loop has turned. */
void channel_close(struct channel *channel);
