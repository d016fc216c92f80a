#include "probe/visit.h"

#include "net/socket.h"
#include "worker/attempt.h"
#include "worker/deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* For how long the backend's word on our certificate is waited for: in TLS 1.3 it comes behind the
 * handshake, if at all. */
#define WORD_MS 1000

/* For how long a ticket is waited for behind that. */
#define TICKET_MS 200

struct visit {
    uv_loop_t *loop;
    struct scratch *scratch;
    const struct service *service;
    struct endpoint endpoint; /* as the attempt wants it; borrows its host */
    struct report_endpoint *report;
    visit_done *done;
    void *ctx;

    uint64_t begun_ns;
    struct attempt *attempt;  /* until the session is established */
    struct upstream upstream; /* from then on */
    struct buf early;         /* plaintext that came unasked */
    struct deadline *deadline;
    bool has_offered; /* a ticket */
};

/* To be the last thing that a callback does: the visit may be gone when it returns. */
static void conclude(struct visit *visit)
{
    deadline_clear(visit->deadline);
    if (visit->upstream.watch != NULL) {
        watch_want(visit->upstream.watch, 0);
    }
    visit->done(visit->ctx, visit);
}

static void conclude_with(struct visit *visit, const struct failure *failure)
{
    visit->report->failure = *failure;
    conclude(visit);
}

/* ---- the backend's word ---- */

static void take_evidence(struct visit *visit)
{
    struct report_endpoint *report = visit->report;
    evidence_take(&report->evidence, visit->upstream.tls);
    report->is_confirmed = tls_is_confirmed(visit->upstream.tls);
}

static void succeed(struct visit *visit)
{
    take_evidence(visit);
    visit->report->failure = (struct failure){.reason = REASON_ok};
    conclude(visit);
}

static void fail_on_session(struct visit *visit)
{
    take_evidence(visit);
    conclude_with(visit, tls_failure(visit->upstream.tls));
}

static void fail_on_goodbye(struct visit *visit)
{
    struct failure failure;
    bool is_judged = tls_is_confirmed(visit->upstream.tls);
    failure_set(&failure, REASON_upstream_reset,
                "the backend ended the session right after it had begun%s",
                is_judged ? "" : ", before it had accepted our certificate");
    take_evidence(visit);
    conclude_with(visit, &failure);
}

static bool has_heard_all(const struct visit *visit)
{
    return tls_is_confirmed(visit->upstream.tls) && ticket_is_there(visit->upstream.tls);
}

/* Waits for what is still to come, and for the kernel to take what it has not taken yet. */
static void want(struct visit *visit)
{
    bool is_unsent = buf_len(&visit->upstream.unsent) > 0;
    watch_want(visit->upstream.watch, WATCH_READ | (is_unsent ? WATCH_WRITE : 0));
}

static void set_patience(struct visit *visit)
{
    bool is_confirmed = tls_is_confirmed(visit->upstream.tls);
    deadline_set(visit->deadline, is_confirmed ? TICKET_MS : WORD_MS);
}

static void fail_on_memory(struct visit *visit)
{
    struct failure failure;
    failure_set(&failure, REASON_internal, "out of memory");
    conclude_with(visit, &failure);
}

/* Keeps what the backend has said. RFC 9113 section 3.4: in HTTP/2 a server speaks unasked. */
static int keep_early(struct visit *visit, size_t len)
{
    const char *alpn = visit->report->alpn;
    if (len > 0 && (alpn == NULL || strcmp(alpn, "h2") != 0)) {
        visit->report->speaks_first = true;
    }
    return buf_append(&visit->early, visit->scratch->plain, len);
}

static void judge(struct visit *visit, enum tls_status status, bool was_confirmed)
{
    if (status == TLS_FAILED) {
        fail_on_session(visit);
    } else if (buf_len(&visit->early) > 0 || (has_heard_all(visit) && status != TLS_CLOSED)) {
        succeed(visit);
    } else if (status == TLS_CLOSED) {
        fail_on_goodbye(visit);
    } else {
        if (!was_confirmed && tls_is_confirmed(visit->upstream.tls)) {
            set_patience(visit);
        }
        want(visit);
    }
}

static void listen_to(struct visit *visit, struct tls_input *in)
{
    struct scratch *scratch = visit->scratch;
    bool was_confirmed = tls_is_confirmed(visit->upstream.tls);
    size_t len;
    enum tls_status status = tls_read(visit->upstream.tls, in, &scratch->flight, scratch->plain,
                                      SCRATCH_PLAIN_MAX, &len);
    bool is_lost = upstream_send(&visit->upstream, &scratch->flight) < 0 && errno == ENOMEM;
    if (keep_early(visit, len) < 0 || is_lost) {
        fail_on_memory(visit);
    } else {
        judge(visit, status, was_confirmed);
    }
}

static void receive(struct visit *visit)
{
    uint8_t *cipher = visit->scratch->cipher;
    ssize_t n = socket_recv(watch_fd(visit->upstream.watch), cipher, SCRATCH_CIPHER_READ);
    if (n > 0) {
        struct tls_input in = {cipher, (size_t)n};
        listen_to(visit, &in);
    } else if (n == 0 || !socket_would_block(errno)) {
        tls_end(visit->upstream.tls, n == 0 ? 0 : errno);
        fail_on_session(visit);
    }
}

static void on_ready(void *ctx, unsigned events)
{
    struct visit *visit = ctx;
    if ((events & WATCH_WRITE) != 0 && upstream_flush(&visit->upstream) < 0) {
        buf_release(&visit->upstream.unsent); /* whoever reads is told why */
    }
    want(visit);
    if ((events & WATCH_READ) != 0) {
        receive(visit);
    }
}

/* ---- the handshake ---- */

static uint64_t us_between(uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t us = (end_ns - begin_ns) / 1000;
    return us > 0 ? us : 1; /* 0 stands for never */
}

static void note_times(struct visit *visit, const struct attempt *attempt)
{
    struct report_endpoint *report = visit->report;
    uint64_t connected_ns = attempt_connected_ns(attempt);
    if (connected_ns != 0) {
        report->connect_us = us_between(visit->begun_ns, connected_ns);
    }
    if (connected_ns != 0 && report->is_established) {
        report->handshake_us = us_between(connected_ns, uv_hrtime());
    }
}

static void on_established(void *ctx, struct attempt *attempt, struct tls_input *rest)
{
    struct visit *visit = ctx;
    struct report_endpoint *report = visit->report;
    const struct tls *tls = attempt_tls(attempt);
    report->is_established = true;
    note_times(visit, attempt);
    report->version = tls_version(tls);
    report->cipher = tls_cipher(tls);
    report->group = tls_group(tls);
    report->alpn = tls_alpn(tls);

    attempt_take(attempt, &visit->upstream);
    visit->attempt = attempt_cancel(attempt);
    watch_hand_over(visit->upstream.watch, on_ready, visit);
    set_patience(visit);
    listen_to(visit, rest);
}

static void on_failed(void *ctx, struct attempt *attempt, const struct failure *failure)
{
    struct visit *visit = ctx;
    visit->report->failure = *failure;
    note_times(visit, attempt);
    evidence_take(&visit->report->evidence, attempt_tls(attempt));
    visit->attempt = attempt_cancel(attempt);
    conclude(visit);
}

/* Either TCP was not connected in time, or nothing more is said. The handshake has a deadline of
 * its own, and so nothing is to be done when that is under way. */
static void on_deadline(void *ctx)
{
    struct visit *visit = ctx;
    struct failure failure;
    if (visit->attempt == NULL && visit->upstream.tls != NULL) {
        succeed(visit);
    } else if (visit->attempt == NULL) {
        conclude(visit); /* it had failed at once */
    } else if (attempt_is_connecting(visit->attempt)) {
        failure_set(&failure, REASON_connect_timeout, "no TCP connection within %llu ms",
                    (unsigned long long)visit->service->connect_timeout_ms);
        visit->attempt = attempt_cancel(visit->attempt);
        conclude_with(visit, &failure);
    }
}

/* ---- life ---- */

static void begin(struct visit *visit, const struct ticket *offer)
{
    static const struct attempt_events events = {on_established, on_failed};
    visit->begun_ns = uv_hrtime();
    const struct attempt_plan plan = {
        .loop = visit->loop,
        .scratch = visit->scratch,
        .service = visit->service,
        .events = &events,
        .ctx = visit,
    };
    visit->attempt = attempt_start(&plan, &visit->endpoint, &visit->report->failure);
    if (visit->attempt == NULL) {
        deadline_set(visit->deadline, 0);
        return;
    }
    tls_observe(attempt_tls(visit->attempt));
    visit->has_offered = offer != NULL && ticket_offer(attempt_tls(visit->attempt), offer) == 0;
    deadline_set(visit->deadline, visit->service->connect_timeout_ms);
}

struct visit *visit_start(uv_loop_t *loop, struct scratch *scratch, const struct service *service,
                          struct report_endpoint *endpoint, const struct ticket *offer,
                          visit_done *done, void *ctx)
{
    struct visit *visit = calloc(1, sizeof(*visit));
    if (visit == NULL) {
        return NULL;
    }
    visit->loop = loop;
    visit->scratch = scratch;
    visit->service = service;
    visit->endpoint = (struct endpoint){endpoint->addr, endpoint->address->name};
    visit->report = endpoint;
    visit->done = done;
    visit->ctx = ctx;
    buf_init(&visit->upstream.unsent, 0);
    buf_init(&visit->early, SCRATCH_PLAIN_MAX);
    visit->deadline = deadline_new(loop, on_deadline, visit);
    if (visit->deadline == NULL) {
        return visit_end(visit);
    }
    begin(visit, offer);
    return visit;
}

struct report_endpoint *visit_endpoint(const struct visit *visit)
{
    return visit->report;
}

bool visit_has_offered(const struct visit *visit)
{
    return visit->has_offered;
}

struct tls *visit_tls(const struct visit *visit)
{
    return visit->upstream.tls;
}

void visit_take(struct visit *visit, struct upstream *ret_upstream, struct buf *ret_early)
{
    *ret_early = visit->early;
    buf_init(&visit->early, 0);
    *ret_upstream = visit->upstream;
    visit->upstream = (struct upstream){.addr = ret_upstream->addr};
    buf_init(&visit->upstream.unsent, 0);
}

struct visit *visit_end(struct visit *visit)
{
    if (visit == NULL) {
        return NULL;
    }
    if (visit->upstream.tls != NULL && visit->report->failure.reason == REASON_ok) {
        tls_close(visit->upstream.tls, &visit->scratch->flight);
        upstream_send(&visit->upstream, &visit->scratch->flight);
    }
    attempt_cancel(visit->attempt);
    upstream_close(&visit->upstream, false);
    buf_release(&visit->early);
    deadline_free(visit->deadline);
    free(visit);
    return NULL;
}
