/* How `status` and `reload` reach the running agent: where it is asked, and the asking. */
#pragma once

#include "base/addr.h"
#include "status/client.h"

#include <stdbool.h>
#include <stddef.h>

#define CONTACT_STANDARD "/run/mtls-agent/status.sock"

/* The addresses of the status endpoint, UNIX sockets first. */
struct contact {
    struct addr *addrs; /* owned; none: it is off */
    size_t n;
    const char *file;      /* the configuration that says so, borrowed; NULL: the operator */
    int file_error;        /* errno, when that could not be read */
    bool has_config_fault; /* it was read, and something in it is wrong */
};

/* Takes the address in `socket`, a path or HOST:PORT; when that is NULL, those of [agent] status in
 * the configuration `file`, or the standard one when `file` cannot be read. No certificate is
 * loaded. Returns -1 with a clause in `*ret_why`. */
int contact_find(const char *socket, const char *file, struct contact *ret_contact,
                 const char **ret_why);

void contact_release(struct contact *contact);

/* Asks one address after the other, of which there is one at least, until one answers. `ret_answer`
 * is its answer, or else what became of the first one; to be released in either case. Returns -1
 * when none answered. */
int contact_ask(const struct contact *contact, const struct client_request *request,
                struct client_answer *ret_answer);

/* Tells on stderr that none answered, why, and what to do; `name` is the subcommand's. */
void contact_explain(const char *name, const struct contact *contact,
                     const struct client_answer *answer);
