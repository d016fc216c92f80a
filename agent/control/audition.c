#include "control/audition.h"

#include "net/socket.h"
#include "worker/attempt.h"
#include "worker/deadline.h"

#include <errno.h>
#include <stdlib.h>

/* For how long the backend's word on our certificate is waited for: in TLS 1.3 it comes behind the
 * handshake, if at all. */
#define WORD_MS 1000

/* How long to wait for TCP: one who is silent must not keep others from being asked. */
#define CONNECT_MS 3000

/* For how long a backend that has accepted us may answer our goodbye. A socket closed with its last
 * words unread would reset the connection, and its log would tell of an error. */
#define FAREWELL_MS 250

struct audition {
    struct scratch *scratch;
    const struct service *service;
    audition_done *done;
    void *ctx;

    struct attempt *attempt;  /* until the session is established */
    struct upstream upstream; /* from then on */
    struct deadline *deadline;
    bool has_said_goodbye;
    enum audition_verdict verdict;
    struct failure failure;
};

/* To be the last thing that a callback does: the audition may be gone when it returns. */
static void conclude(struct audition *audition)
{
    deadline_clear(audition->deadline);
    if (audition->upstream.watch != NULL) {
        watch_want(audition->upstream.watch, 0);
    }
    audition->done(audition->ctx, audition->verdict, &audition->failure);
}

/* What a failure of the session says of the two of us: nothing, where it is the network's or this
 * host's own. */
static void judge_by(struct audition *audition, const struct failure *failure)
{
    bool is_ours = failure->reason == REASON_internal || failure->reason == REASON_limit_reached;
    bool is_lost =
        failure->reason == REASON_handshake_timeout || failure->reason == REASON_unreachable;
    audition->failure = *failure;
    audition->verdict = is_ours || is_lost ? AUDITION_UNHEARD : AUDITION_REFUSED;
}

/* ---- the backend's word ---- */

static void note_acceptance(struct audition *audition)
{
    audition->verdict = AUDITION_ACCEPTED;
    audition->failure = (struct failure){.reason = REASON_ok};
}

static void want(struct audition *audition)
{
    bool is_unsent = buf_len(&audition->upstream.unsent) > 0;
    watch_want(audition->upstream.watch, WATCH_READ | (is_unsent ? WATCH_WRITE : 0));
}

static void say_goodbye(struct audition *audition)
{
    struct buf *flight = &audition->scratch->flight;
    audition->has_said_goodbye = true;
    tls_close(audition->upstream.tls, flight);
    (void)upstream_send(&audition->upstream, flight); /* who cannot be told is not there to mind */
    deadline_set(audition->deadline,
                 audition->verdict == AUDITION_ACCEPTED ? FAREWELL_MS : WORD_MS);
    want(audition);
}

/* A session that ends well before the backend has said that it accepts us. Behind our own goodbye
 * that is the usual courtesy, and it has read that far; before, it does not want us. */
static void judge_goodbye(struct audition *audition)
{
    if (audition->has_said_goodbye) {
        note_acceptance(audition);
        return;
    }
    struct failure failure;
    failure_set_by_peer(&failure, REASON_upstream_reset,
                        "the backend ended the session before it had accepted our certificate");
    judge_by(audition, &failure);
}

static void judge(struct audition *audition, enum tls_status status)
{
    bool is_over = status == TLS_CLOSED || status == TLS_FAILED;
    bool is_untold = audition->verdict == AUDITION_UNTOLD;
    if (is_untold && tls_is_confirmed(audition->upstream.tls)) {
        note_acceptance(audition);
    } else if (is_untold && status == TLS_FAILED) {
        judge_by(audition, tls_failure(audition->upstream.tls));
    } else if (is_untold && status == TLS_CLOSED) {
        judge_goodbye(audition);
    }

    if (is_over) {
        conclude(audition);
    } else if (audition->verdict == AUDITION_ACCEPTED && !audition->has_said_goodbye) {
        say_goodbye(audition);
    } else {
        want(audition);
    }
}

/* The plaintext of a backend that speaks first is not wanted. */
static void listen_to(struct audition *audition, struct tls_input *in)
{
    struct scratch *scratch = audition->scratch;
    size_t len;
    enum tls_status status = tls_read(audition->upstream.tls, in, &scratch->flight, scratch->plain,
                                      SCRATCH_PLAIN_MAX, &len);
    (void)upstream_send(&audition->upstream, &scratch->flight); /* whoever reads is told why */
    judge(audition, status);
}

/* An end without close_notify. Behind our goodbye it tells nothing: many backends leave so. */
static void judge_end(struct audition *audition, int error)
{
    tls_end(audition->upstream.tls, error);
    if (audition->verdict == AUDITION_UNTOLD && !audition->has_said_goodbye) {
        judge_by(audition, tls_failure(audition->upstream.tls));
    }
    conclude(audition);
}

static void receive(struct audition *audition)
{
    uint8_t *cipher = audition->scratch->cipher;
    ssize_t n = socket_recv(watch_fd(audition->upstream.watch), cipher, SCRATCH_CIPHER_READ);
    if (n > 0) {
        struct tls_input in = {cipher, (size_t)n};
        listen_to(audition, &in);
    } else if (n == 0 || !socket_would_block(errno)) {
        judge_end(audition, n == 0 ? 0 : errno);
    }
}

static void on_ready(void *ctx, unsigned events)
{
    struct audition *audition = ctx;
    if ((events & WATCH_WRITE) != 0 && upstream_flush(&audition->upstream) < 0) {
        buf_release(&audition->upstream.unsent); /* whoever reads is told why */
    }
    want(audition);
    if ((events & WATCH_READ) != 0) {
        receive(audition);
    }
}

/* ---- the handshake ---- */

static void on_established(void *ctx, struct attempt *attempt, struct tls_input *rest)
{
    struct audition *audition = ctx;
    attempt_take(attempt, &audition->upstream);
    audition->attempt = attempt_cancel(attempt);
    watch_hand_over(audition->upstream.watch, on_ready, audition);

    audition->verdict = AUDITION_UNTOLD;
    failure_set(&audition->failure, REASON_handshake_timeout,
                "the backend has not said whether it accepts our certificate");
    deadline_set(audition->deadline, WORD_MS);
    listen_to(audition, rest);
}

static void on_failed(void *ctx, struct attempt *attempt, const struct failure *failure)
{
    struct audition *audition = ctx;
    judge_by(audition, failure);
    if (attempt_is_connecting(attempt)) {
        audition->verdict = AUDITION_UNHEARD;
    }
    audition->attempt = attempt_cancel(attempt);
    conclude(audition);
}

static void on_connect_timeout(struct audition *audition)
{
    failure_set(&audition->failure, REASON_connect_timeout, "no TCP connection within %llu ms",
                (unsigned long long)audition->service->connect_timeout_ms);
    audition->attempt = attempt_cancel(audition->attempt);
    conclude(audition);
}

/* The handshake has a deadline of its own. */
static void on_deadline(void *ctx)
{
    struct audition *audition = ctx;
    if (audition->attempt != NULL && attempt_is_connecting(audition->attempt)) {
        on_connect_timeout(audition);
    } else if (audition->upstream.tls != NULL && !audition->has_said_goodbye) {
        say_goodbye(audition); /* silence: it may yet answer that */
    } else if (audition->attempt == NULL) {
        conclude(audition); /* no more is to come, or it had failed at once */
    }
}

/* ---- life ---- */

static void begin(struct audition *audition, uv_loop_t *loop, const struct endpoint *endpoint)
{
    static const struct attempt_events events = {on_established, on_failed};
    audition->verdict = AUDITION_UNHEARD;
    const struct attempt_plan plan = {
        .loop = loop,
        .scratch = audition->scratch,
        .service = audition->service,
        .events = &events,
        .ctx = audition,
    };
    audition->attempt = attempt_start(&plan, endpoint, &audition->failure);
    if (audition->attempt == NULL) {
        deadline_set(audition->deadline, 0);
        return;
    }
    tls_observe(attempt_tls(audition->attempt)); /* a refusal is to name the CAs that would do */
    uint64_t patience_ms = audition->service->connect_timeout_ms;
    deadline_set(audition->deadline, patience_ms < CONNECT_MS ? patience_ms : CONNECT_MS);
}

struct audition *audition_start(uv_loop_t *loop, struct scratch *scratch,
                                const struct service *service, const struct endpoint *endpoint,
                                audition_done *done, void *ctx)
{
    struct audition *audition = calloc(1, sizeof(*audition));
    if (audition == NULL) {
        return NULL;
    }
    audition->scratch = scratch;
    audition->service = service;
    audition->done = done;
    audition->ctx = ctx;
    buf_init(&audition->upstream.unsent, 0);
    audition->deadline = deadline_new(loop, on_deadline, audition);
    if (audition->deadline == NULL) {
        return audition_cancel(audition);
    }
    begin(audition, loop, endpoint);
    return audition;
}

struct audition *audition_cancel(struct audition *audition)
{
    if (audition != NULL) {
        attempt_cancel(audition->attempt);
        upstream_close(&audition->upstream, false);
        deadline_free(audition->deadline);
        free(audition);
    }
    return NULL;
}
