/* What can be seen of the agent from outside: the view that the status endpoint shows, and reloads
 * that are asked for there. */
#pragma once

#include "status/server.h"

struct control;
struct outlook;

/* Serves nothing yet. Returns NULL when memory is out. */
struct outlook *outlook_new(struct control *control);

/* The events that a server is to be given, with the outlook as their context. */
extern const struct server_events outlook_events;

/* No event may come any more. Accepts NULL; returns NULL. */
struct outlook *outlook_free(struct outlook *outlook);
