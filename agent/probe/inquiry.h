/* The diagnosis of one service: its names, every address, an HTTP request, resumption, and then the
 * verdict. */
#pragma once

#include "control/dns.h"
#include "probe/report.h"
#include "worker/scratch.h"
#include "worker/service.h"

#include <uv.h>

/* What the operator wants to have asked. */
struct inquiry_options {
    bool no_http, via_agent;
    const char *method; /* NULL: HEAD, and GET where that is answered with an error */
    const char *path;   /* begins with a slash */
    const char *host;   /* NULL: `sni`, else the host in `address` */
};

/* What all inquiries of one event loop share. */
struct inquiry_means {
    uv_loop_t *loop;
    struct dns *dns;
    struct scratch *scratch;
    const struct inquiry_options *options;
};

struct inquiry;

/* Called once, unless the inquiry was ended before. The report has its verdict. */
typedef void inquiry_done(void *ctx, struct inquiry *inquiry);

/* Begins to fill in `report`, which says what the service is and must outlive the inquiry, as must
 * `means`. Returns NULL when memory is out. Never calls `done` before it returns. */
struct inquiry *inquiry_start(const struct inquiry_means *means, const struct service *service,
                              struct report_service *report, inquiry_done *done, void *ctx);

/* Ends it and frees it; while questions to DNS are under way only after dns_free(). The loop must
 * turn once more for the memory to be freed. Accepts NULL; returns NULL. */
struct inquiry *inquiry_end(struct inquiry *inquiry);
