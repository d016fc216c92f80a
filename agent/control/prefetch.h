/* CRLs that a new configuration wants from URLs and that were never downloaded: asked for before it
 * goes into force, for without them its services would refuse their backends at first. */
#pragma once

#include "config/config.h"
#include "control/crl_fetch.h"

#include <stdbool.h>

/* Asks for them, one after the other, in a thread that may wait, until `fetch` is cancelled; but
 * not for what `before`, the configuration in use, wants already. Returns true when one has come,
 * so that the files are to be read anew. What does not come is no fault. */
bool prefetch_crls(const struct config *before, const struct config *next, struct crl_fetch *fetch);
