#include "worker/spare.h"

#include "base/clock.h"
#include "net/socket.h"
#include "tls/peer.h"
#include "worker/deadline.h"
#include "worker/dialer.h"
#include "worker/worker_fields.h"

#include <errno.h>
#include <stdlib.h>

/* A TLS 1.3 backend that sends no tickets never says that it has accepted us, but one that refuses
 * says so at once. It gets a second for it, and no more than a part of a session's age. */
#define SETTLE_MS   1000
#define SETTLE_PART 4

/* The state is which of `dialer` and `upstream` is there, and then `is_ready`. */
struct spare {
    struct list link;
    struct worker *worker;
    const struct service *service;
    const struct spare_events *events;
    void *ctx;

    struct life life;
    uint64_t until_ms;
    struct dialer *dialer;
    struct upstream upstream;
    struct deadline *settling;
    bool is_ready;
};

static void become_ready(struct spare *spare)
{
    if (!spare->is_ready) {
        spare->is_ready = true;
        spare->life.ready_ms = uv_now(&spare->worker->loop);
        deadline_clear(spare->settling);
        spare->upstream.is_counted = true;
        account_note_success(spare->service->account, tls_is_resumed(spare->upstream.tls));
        spare->events->ready(spare->ctx, spare);
    }
}

static void count_end(const struct spare *spare, const struct failure *failure)
{
    struct account *account = spare->service->account;
    account_note_unconfirmed(account, failure, tls_is_resumed(spare->upstream.tls));
    if (reason_side(failure->reason, failure->by_peer) != SIDE_LOCAL) {
        account_note_failure(account, failure);
    }
}

static void lose(struct spare *spare, const struct failure *failure)
{
    if (!spare->is_ready) {
        count_end(spare, failure);
    }
    spare->events->lost(spare->ctx, spare, failure);
}

/* What a backend says first is bounded by one read: behind it only its end is watched for. */
static void want(struct spare *spare)
{
    bool has_spoken = buf_len(&spare->upstream.early) > 0;
    watch_want(spare->upstream.watch, (has_spoken ? WATCH_HANGUP : WATCH_READ) |
                                          (buf_len(&spare->upstream.unsent) > 0 ? WATCH_WRITE : 0));
}

static int end_of(struct spare *spare, int error, struct failure *ret_failure)
{
    tls_end(spare->upstream.tls, error);
    *ret_failure = *tls_failure(spare->upstream.tls);
    return -1;
}

/* What was decrypted is kept, and what is to be answered is sent. */
static int take_in(struct spare *spare, struct tls_input *in, struct failure *ret_failure)
{
    struct upstream *upstream = &spare->upstream;
    struct scratch *scratch = &spare->worker->scratch;
    size_t len;
    enum tls_status status =
        upstream_read(upstream, in, &scratch->flight, scratch->plain, SCRATCH_PLAIN_MAX, &len);
    if (upstream_send(upstream, &scratch->flight) < 0) {
        return end_of(spare, errno, ret_failure);
    }
    if (status == TLS_FAILED) {
        *ret_failure = *tls_failure(upstream->tls);
        return -1;
    }
    if (status == TLS_CLOSED) {
        failure_set_by_peer(ret_failure, REASON_upstream_reset, "the backend ended the session%s",
                            spare->is_ready ? "" : " before it had accepted our certificate");
        return -1;
    }
    if (buf_append(&upstream->early, scratch->plain, len) < 0) {
        failure_set(ret_failure, REASON_internal, "out of memory");
        return -1;
    }
    return 0;
}

/* Returns 1 when there may be more to read. */
static int receive(struct spare *spare, struct failure *ret_failure)
{
    uint8_t *cipher = spare->worker->scratch.cipher;
    ssize_t n = socket_recv(watch_fd(spare->upstream.watch), cipher, SCRATCH_CIPHER_READ);
    if (n == 0) {
        return end_of(spare, 0, ret_failure);
    }
    if (n < 0) {
        return socket_would_block(errno) ? 0 : end_of(spare, errno, ret_failure);
    }
    struct tls_input in = {cipher, (size_t)n};
    return take_in(spare, &in, ret_failure) < 0 ? -1 : 1;
}

static void on_upstream(void *ctx, unsigned events)
{
    struct spare *spare = ctx;
    struct failure failure;
    int rc = 0;
    if ((events & WATCH_WRITE) != 0 && upstream_flush(&spare->upstream) < 0) {
        rc = end_of(spare, errno, &failure);
    }
    if ((events & WATCH_HANGUP) != 0) {
        rc = end_of(spare, socket_error(watch_fd(spare->upstream.watch)), &failure);
    }
    if (rc == 0 && (events & WATCH_READ) != 0) {
        rc = receive(spare, &failure);
    }
    if (rc < 0) {
        lose(spare, &failure);
        return;
    }
    want(spare);
    if (tls_is_confirmed(spare->upstream.tls)) {
        become_ready(spare);
    }
}

static void on_settled(void *ctx)
{
    become_ready(ctx);
}

static uint64_t settle_ms(const struct service *service)
{
    return clock_sooner(service->prewarm_max_age_ms / SETTLE_PART, SETTLE_MS);
}

static void on_won(void *ctx, struct upstream *upstream, struct tls_input *rest)
{
    struct spare *spare = ctx;
    struct failure failure;
    spare->dialer = NULL;
    spare->life.up_ms = uv_now(&spare->worker->loop);
    spare->upstream = *upstream;
    buf_init(&spare->upstream.early, SCRATCH_PLAIN_MAX);
    watch_hand_over(spare->upstream.watch, on_upstream, spare);
    if (take_in(spare, rest, &failure) < 0) {
        lose(spare, &failure);
        return;
    }
    want(spare);
    if (tls_is_confirmed(spare->upstream.tls)) {
        become_ready(spare);
    } else {
        deadline_set(spare->settling, settle_ms(spare->service));
    }
}

/* The dialer has counted it. */
static void on_dial_lost(void *ctx, const struct failure *failure, const struct addr *addr)
{
    struct spare *spare = ctx;
    spare->dialer = NULL;
    spare->upstream.addr = *addr;
    spare->events->lost(spare->ctx, spare, failure);
}

static struct spare *make(struct worker *worker, const struct service *service)
{
    struct spare *spare = calloc(1, sizeof(*spare));
    if (spare == NULL) {
        return NULL;
    }
    list_init(&spare->link);
    spare->worker = worker;
    spare->service = service;
    spare->life.begun_ms = uv_now(&worker->loop);
    spare->settling = deadline_new(&worker->loop, on_settled, spare);
    return spare->settling != NULL ? spare : spare_free(spare);
}

struct spare *spare_start(struct worker *worker, const struct service *service,
                          struct endpoints *endpoints, size_t first,
                          const struct spare_events *events, void *ctx, struct failure *ret_failure)
{
    static const struct dialer_events dialing = {on_won, on_dial_lost};
    struct addr addr;
    struct spare *spare = make(worker, service);
    if (spare == NULL) {
        failure_set(ret_failure, REASON_internal, "out of memory");
        return NULL;
    }
    const struct dialer_plan plan = {
        .service = service,
        .endpoints = endpoints,
        .budget_ms = service->connect_timeout_ms,
        .is_ahead = true,
        .first = first,
        .events = &dialing,
        .ctx = spare,
    };
    spare->events = events;
    spare->ctx = ctx;
    spare->dialer = dialer_start(worker, &plan, ret_failure, &addr);
    return spare->dialer != NULL ? spare : spare_free(spare);
}

struct list *spare_link(struct spare *spare)
{
    return &spare->link;
}

struct spare *spare_of(struct list *link)
{
    return list_item(link, struct spare, link);
}

const struct life *spare_life(const struct spare *spare)
{
    return &spare->life;
}

uint64_t spare_until_ms(const struct spare *spare)
{
    return spare->until_ms;
}

void spare_set_until(struct spare *spare, uint64_t until_ms)
{
    spare->until_ms = until_ms;
}

const struct addr *spare_addr(const struct spare *spare)
{
    return &spare->upstream.addr;
}

bool spare_leads_to(const struct spare *spare, const struct endpoints *endpoints)
{
    const struct upstream *upstream = &spare->upstream;
    return upstream->tls != NULL &&
           endpoints_have(endpoints, &upstream->addr, tls_host(upstream->tls));
}

bool spare_is_ready(const struct spare *spare)
{
    return spare->is_ready;
}

bool spare_is_current(const struct spare *spare)
{
    return peer_is_current(spare->upstream.tls);
}

bool spare_is_open(struct spare *spare)
{
    struct failure failure;
    int rc = 1;
    while (rc > 0 && buf_len(&spare->upstream.early) == 0) {
        rc = receive(spare, &failure);
    }
    return rc >= 0 && !socket_has_hung_up(watch_fd(spare->upstream.watch));
}

void spare_take(struct spare *spare, struct upstream *ret_upstream)
{
    *ret_upstream = spare->upstream;
    spare->upstream = (struct upstream){0};
    spare_free(spare);
}

static void ignore(void *ctx, unsigned events)
{
    (void)ctx, (void)events;
}

void spare_retire(struct spare *spare)
{
    list_remove(&spare->link);
    spare->settling = deadline_free(spare->settling);
    spare->service = NULL;
    watch_hand_over(spare->upstream.watch, ignore, NULL);
    watch_want(spare->upstream.watch, 0);
}

/* As far as the kernel takes it: nothing was said in the session that could get lost. What lies
 * unread, a ticket perhaps, would make a reset of our end. */
static void say_goodbye(struct spare *spare)
{
    struct scratch *scratch = &spare->worker->scratch;
    if (spare->upstream.tls != NULL) {
        (void)socket_recv(watch_fd(spare->upstream.watch), scratch->cipher, SCRATCH_CIPHER_READ);
        tls_close(spare->upstream.tls, &scratch->flight);
        (void)upstream_send(&spare->upstream, &scratch->flight);
    }
}

struct spare *spare_free(struct spare *spare)
{
    if (spare != NULL) {
        list_remove(&spare->link);
        dialer_cancel(spare->dialer);
        deadline_free(spare->settling);
        say_goodbye(spare);
        upstream_close(&spare->upstream, false);
        free(spare);
    }
    return NULL;
}
