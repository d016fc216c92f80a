#include "worker/backoff.h"

#include <uv.h>

#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 30000
#define HURRIED_MS   1000

/* As often as PAUSE_MIN_MS can be doubled below PAUSE_MAX_MS. */
#define DOUBLED_MAX 6

uint64_t backoff_jitter(uint64_t ms, unsigned percent)
{
    uint16_t chance = UINT16_MAX; /* where there is none */
    (void)uv_random(NULL, NULL, &chance, sizeof(chance), 0, NULL);
    uint64_t least = ms * percent / 100;
    return least + (ms - least) * chance / UINT16_MAX;
}

void backoff_fail(struct backoff *backoff, uint64_t now_ms)
{
    backoff->failed_ms = now_ms;
    if (now_ms < backoff->retry_ms) {
        return; /* those that were begun together fail together */
    }
    uint64_t pause = backoff->failures < DOUBLED_MAX ? (uint64_t)PAUSE_MIN_MS << backoff->failures
                                                     : PAUSE_MAX_MS;
    backoff->failures++;
    backoff->retry_ms = now_ms + backoff_jitter(pause, 50);
}

void backoff_prove(struct backoff *backoff, uint64_t begun_ms)
{
    if (begun_ms > backoff->failed_ms) {
        backoff->failures = 0;
        backoff->retry_ms = 0;
    }
}

bool backoff_hurry(struct backoff *backoff)
{
    uint64_t retry_ms = backoff->failed_ms + HURRIED_MS;
    bool is_sooner = retry_ms < backoff->retry_ms;
    backoff->retry_ms = is_sooner ? retry_ms : backoff->retry_ms;
    return is_sooner;
}

bool backoff_is_over(const struct backoff *backoff, uint64_t now_ms)
{
    return now_ms >= backoff->retry_ms;
}
