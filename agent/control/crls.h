/* The CRLs that come from URLs: each is kept in a file, which is brought up to date before it runs
 * out. Whoever uses the files watches them. */
#pragma once

#include <stddef.h>

#include <uv.h>

struct crls;

/* A CRL that is wanted. */
struct crls_wanted {
    const char *url;  /* http or https */
    const char *path; /* where it is kept */
    const char *ca; /* a file of CAs, or "system", as in trust_source: what they have not signed in
                     * spite of their name on it does not replace what is there. NULL: any name */
};

/* Called when a file has another content, which is complete. */
typedef void crls_fetched(void *ctx);

/* Starts with nothing wanted. Returns NULL when memory is out. */
struct crls *crls_start(uv_loop_t *loop, crls_fetched *fetched, void *ctx);

/* Replaces what was wanted before; what is unchanged keeps its schedule. A file that is there and
 * current is not asked for again before half of its time is over. Returns -1 when memory is out;
 * then nothing has changed. */
int crls_set(struct crls *crls, const struct crls_wanted *list, size_t n);

/* What was wrong when the URL was asked last, for people; NULL: nothing, or it is not wanted. Valid
 * until the loop turns. */
const char *crls_problem(const struct crls *crls, const char *url);

/* Ends all downloads. The loop must turn until they have ended, a second at most, for the memory to
 * be freed. Accepts NULL; returns NULL. */
struct crls *crls_stop(struct crls *crls);
