#include "control/digest.h"

#include "base/clock.h"
#include "base/log.h"
#include "worker/deadline.h"
#include "worker/tally.h"

#include <stdlib.h>

#define INTERVAL_MS 10000

/* Between two looks at all services, however many intervals end. */
#define PAUSE_MS 1000

struct digest {
    const struct ledger *ledger;
    struct deadline *next;
    bool is_awake; /* `next` is set */
};

/* Whose sums are told, and as what. */
struct subject {
    const char *message;
    const struct account *account;
};

static void tell(void *ctx, const struct tally_sum *sum)
{
    const struct subject *subject = ctx;
    struct log_line line;
    log_begin(&line, LEVEL_WARNING, subject->message);
    log_text(&line, "service", subject->account->name);
    log_number(&line, "count", sum->count);
    log_reason(&line, sum->reason, sum->by_peer);
    log_seconds(&line, "interval", sum->interval_ms);
    log_text(&line, "detail", sum->detail);
    log_text(&line, "advice", reason_advice(sum->reason));
    log_end(&line);
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* Returns when the next interval will be over. */
static uint64_t tell_all(const struct digest *digest, uint64_t now_ms, uint64_t interval_ms)
{
    uint64_t next_ms = TALLY_NEVER;
    for (size_t i = 0; i < digest->ledger->n; i++) {
        const struct account *account = digest->ledger->accounts[i];
        struct subject attempts = {"attempts failed", account};
        struct subject connections = {"connections ended", account};
        next_ms =
            earlier(next_ms, tally_tell(account->attempts, now_ms, interval_ms, tell, &attempts));
        next_ms = earlier(next_ms, tally_tell(account->connections, now_ms, interval_ms, tell,
                                              &connections));
    }
    return next_ms;
}

static void on_next(void *ctx)
{
    struct digest *digest = ctx;
    uint64_t now_ms = clock_ms();
    uint64_t next_ms = tell_all(digest, now_ms, INTERVAL_MS);
    digest->is_awake = next_ms != TALLY_NEVER;
    if (digest->is_awake) {
        uint64_t left_ms = next_ms - now_ms;
        deadline_set(digest->next, left_ms > PAUSE_MS ? left_ms : PAUSE_MS);
    }
}

struct digest *digest_start(uv_loop_t *loop, const struct ledger *ledger)
{
    struct digest *digest = calloc(1, sizeof(*digest));
    if (digest == NULL) {
        return NULL;
    }
    digest->ledger = ledger;
    digest->next = deadline_new(loop, on_next, digest);
    if (digest->next == NULL) {
        free(digest);
        return NULL;
    }
    return digest;
}

void digest_wake(struct digest *digest)
{
    if (!digest->is_awake) {
        digest->is_awake = true;
        deadline_set(digest->next, INTERVAL_MS);
    }
}

struct digest *digest_stop(struct digest *digest)
{
    if (digest != NULL) {
        tell_all(digest, clock_ms(), 0);
        deadline_free(digest->next);
        free(digest);
    }
    return NULL;
}
