/* A trust anchor set: the CAs that one service's backends must chain to, immutable and shared by
 * reference count. */
#pragma once

#include "base/problems.h"
#include "certs/inspect.h"

#include <stddef.h>

struct trust;

/* Loads the CAs of a PEM file, or the system's for the path "system". The whole file must be good:
 * a missing, empty or unreadable file, one broken entry among good ones, or a private key is an
 * error with its place. A certificate that is no CA and one that has expired are warnings. Returns
 * a reference, or NULL after noting at least one error. */
struct trust *trust_load(const char *path, struct place place, struct problems *problems);

struct trust *trust_ref(struct trust *trust);
struct trust *trust_unref(struct trust *trust); /* accepts NULL; returns NULL */

/* The facts of the CAs, in the order of the file; none for the system's. They live as long as the
 * trust. */
const struct inspect_facts *trust_facts(const struct trust *trust, size_t *ret_n);
