/* What a probe has found: for each service its names, its addresses, its HTTP answer and the
 * verdict. Filled in by the probe, then printed. */
#pragma once

#include "base/addr.h"
#include "base/failure.h"
#include "control/snapshot.h"
#include "tls/evidence.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Addresses of a service that are tried: as many as the agent itself would. */
#define REPORT_ENDPOINTS_MAX 64

/* Days left that are worth a mark. */
#define REPORT_SOON_DAYS 30

/* One `address` of the service: where its host is. */
struct report_host {
    const struct config_address *address;
    char *failure; /* a clause; NULL: none */
    bool has_ttl;  /* false for literals and /etc/hosts */
    size_t n;
    struct addr *addrs; /* with the port */
    uint32_t *ttls_s;
    uint32_t ttl_s; /* the least of all records, the CNAMEs' included: when the agent asks again */
    char *aliases;  /* CNAMEs on the way, in order, separated by blanks; NULL: none */
    uint64_t duration_us;
};

enum report_resumption {
    RESUMPTION_UNTRIED,
    RESUMPTION_WORKS,
    RESUMPTION_NO_TICKET, /* the backend gave none */
    RESUMPTION_DECLINED,  /* it gave one and did not take it back */
};

/* One address, connected to and examined. */
struct report_endpoint {
    struct addr addr;
    const struct config_address *address;
    struct failure failure; /* REASON_ok: verified, and not refused as far as TLS tells */
    uint64_t connect_us;    /* 0: TCP was not connected */
    uint64_t handshake_us;  /* 0: TLS was not established */
    bool is_established;
    bool is_confirmed; /* the backend is known to have accepted us */
    bool speaks_first; /* it sent something before it was asked */
    const char *version, *cipher;
    char *group, *alpn; /* NULL: none */
    struct evidence evidence;
    enum report_resumption resumption; /* tried at one address only */
};

/* What nginx says of a client certificate, in HTTP and after a good handshake. */
enum report_complaint {
    COMPLAINT_NONE,
    COMPLAINT_NO_CERTIFICATE,  /* "No required SSL certificate was sent" */
    COMPLAINT_BAD_CERTIFICATE, /* "The SSL certificate error" */
};

/* The HTTP request. */
struct report_http {
    bool was_tried;
    bool via_agent;
    char *method, *url;
    struct addr addr; /* where it was sent */
    enum report_complaint complaint;
    bool is_other_protocol; /* what came back is no HTTP */
    bool timed_out;
    bool is_whole;       /* an answer came, and came to its end */
    bool is_truncated;   /* and the backend's stream then ended without close_notify */
    int error;           /* errno of a connection that was not accepted; 0: not known */
    bool is_no_agent;    /* nobody listens where the agent should */
    unsigned status;     /* 0: there was no answer */
    const char *version; /* "1.1" or "2" */
    char *server;        /* the answer's Server; NULL: none */
    char *failure;       /* why there was no answer, or not all of it, as a clause; else NULL */
    uint64_t duration_us;
};

struct report_service {
    const struct config_service *service;
    const struct inspect_facts *own; /* our chain, leaf first; NULL: none is presented */
    size_t n_own;
    const struct inspect_facts *cas; /* NULL: the system's */
    size_t n_cas;

    struct report_host *hosts; /* one for each `address` */
    size_t n_hosts;
    struct report_endpoint *endpoints;
    size_t n_endpoints;
    struct report_endpoint *asked; /* the one that was asked further; NULL: none was */
    struct report_http http;

    struct failure verdict; /* REASON_ok: the link works */
    const char *advice;
    char **warnings; /* sentences without a full stop */
    size_t n_warnings;
};

struct report {
    time_t when;
    struct report_service *services;
    size_t n_services;
};

/* Frees what an endpoint owns, and starts it anew: out of memory, until it is visited. */
void report_endpoint_release(struct report_endpoint *endpoint);

/* Frees what the HTTP part owns, and starts it anew. */
void report_http_release(struct report_http *http);

/* True when every verdict is ok. */
bool report_is_good(const struct report *report);

/* Adds a warning to a service. Drops it when memory is out. */
void report_warn(struct report_service *service, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True for a certificate that is not valid yet, or has fewer than REPORT_SOON_DAYS left. */
bool report_is_worth_a_mark(const struct inspect_facts *facts, time_t now);

/* The endpoint that speaks for the service: one that refuses behind the handshake and comes before
 * all that work, for the agent would be stuck with it; else the one that came furthest, and of
 * those that came as far the one that was asked further, or the first; NULL: there is none. */
const struct report_endpoint *report_spokesman(const struct report_service *service);

/* Accepts NULL; returns NULL. */
struct report *report_free(struct report *report);
