/* How our certificate stands with a backend that refuses it: what is plain from here about a
 * refusal that names no cause, or hardly one. */
#pragma once

#include "base/reason.h"
#include "certs/inspect.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct standing {
    const struct inspect_facts *own; /* our chain, leaf first; n_own 0: we have none */
    size_t n_own;
    bool matched;         /* the backend accepts an issuer of our chain, or named none */
    const char *accepted; /* the issuers that it accepts, for people; NULL: none, or not known */
    time_t now;
};

/* Names the cause of a refusal: out of date, not valid yet, not for clients, or of an issuer that
 * the backend does not name; `otherwise` where none of these is the case. */
enum reason standing_reason(const struct standing *standing, enum reason otherwise);

/* Writes what a refused certificate has against it, each clause behind "; ". Returns `text`, ""
 * when nothing is. */
const char *standing_format(const struct standing *standing, char *text, size_t size);
