#include "probe/lookup.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

/* One host's question. */
struct question {
    struct dns_question dns;
    struct lookup *lookup;
    struct report_host *host;
};

struct lookup {
    lookup_done *done;
    void *ctx;
    size_t n_open; /* questions without an answer */
    bool is_starting;
    uint64_t begun_ns;
    struct question questions[];
};

static void close_one(struct lookup *lookup)
{
    lookup->n_open--;
    if (lookup->n_open == 0 && !lookup->is_starting) {
        lookup->done(lookup->ctx);
    }
}

static void fail(struct report_host *host, const char *failure)
{
    host->failure = strdup(failure);
}

/* Makes room for `n` addresses. Returns -1 when memory is out. */
static int make_room(struct report_host *host, size_t n)
{
    host->addrs = calloc(n, sizeof(host->addrs[0]));
    host->ttls_s = calloc(n, sizeof(host->ttls_s[0]));
    if (host->addrs == NULL || host->ttls_s == NULL) {
        fail(host, "out of memory");
        return -1;
    }
    return 0;
}

static void take_literal(struct report_host *host)
{
    if (make_room(host, 1) == 0 &&
        addr_parse_ip(host->address->host, host->address->port, &host->addrs[0]) == 0) {
        host->n = 1;
    }
}

static void take_answer(struct report_host *host, const struct answer *answer, bool is_local)
{
    if (make_room(host, answer->n) < 0) {
        return;
    }
    host->n = answer->n;
    host->has_ttl = !is_local;
    host->ttl_s = answer->ttl_s;
    host->aliases = answer->aliases[0] != '\0' ? strdup(answer->aliases) : NULL;
    for (size_t i = 0; i < answer->n; i++) {
        host->addrs[i] = answer->addrs[i];
        addr_set_port(&host->addrs[i], host->address->port);
        host->ttls_s[i] = answer->ttls_s[i];
    }
}

static void on_answer(void *ctx, struct answer *answer, bool is_local, const char *failure)
{
    struct question *question = ctx;
    struct report_host *host = question->host;
    host->duration_us = (uv_hrtime() - question->lookup->begun_ns) / 1000;
    if (answer != NULL) {
        take_answer(host, answer, is_local);
        free(answer);
    } else {
        fail(host, failure);
    }
    close_one(question->lookup);
}

static void ask(struct dns *dns, struct lookup *lookup, struct question *question)
{
    question->lookup = lookup;
    question->dns.host = question->host->address->host;
    question->dns.done = on_answer;
    question->dns.ctx = question;
    lookup->n_open++;
    dns_ask(dns, &question->dns);
}

struct lookup *lookup_start(struct dns *dns, struct report_service *report, lookup_done *done,
                            void *ctx)
{
    struct lookup *lookup =
        calloc(1, sizeof(*lookup) + report->n_hosts * sizeof(lookup->questions[0]));
    if (lookup == NULL) {
        return NULL;
    }
    lookup->done = done;
    lookup->ctx = ctx;
    lookup->begun_ns = uv_hrtime();
    lookup->is_starting = true;
    for (size_t i = 0; i < report->n_hosts; i++) {
        lookup->questions[i].host = &report->hosts[i];
        if (report->hosts[i].address->is_literal) {
            take_literal(&report->hosts[i]);
        } else {
            ask(dns, lookup, &lookup->questions[i]);
        }
    }
    lookup->is_starting = false;
    return lookup;
}

bool lookup_is_over(const struct lookup *lookup)
{
    return lookup->n_open == 0;
}

struct lookup *lookup_end(struct lookup *lookup)
{
    free(lookup);
    return NULL;
}
