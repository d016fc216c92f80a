/* One CRL file brought up to date from its URL, in a thread that may wait: asked for by HTTP,
 * judged, and only then put in the place of the one before. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define CRL_FETCH_WHY_MAX 512 /* bytes, the final NUL included */

struct crl_fetch {
    const char *url;  /* http or https */
    const char *path; /* its folder is made if it is missing */
    const char *ca;   /* whose CRLs must bear their signature; NULL: not looked at here */
    bool is_enough;   /* nothing need be asked for while the file is current */
    atomic_bool cancelled;

    /* What came of it. */
    bool is_good;       /* there is a file, and it is as current as can be */
    bool is_new;        /* it is another one than before */
    time_t next_update; /* the earliest of the file that is there; 0: there is no good one */
    char why[CRL_FETCH_WHY_MAX]; /* not good: what to tell the operator */
};

/* To be called once by the process before the first crl_fetch_run(), while it has one thread that
 * knows of libcurl. Returns -1 when libcurl cannot be used. */
int crl_fetch_prepare(void);

/* Does it: takes half a minute at most, or a second from when `cancelled` was set. */
void crl_fetch_run(struct crl_fetch *fetch);
