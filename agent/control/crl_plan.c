#include "control/crl_plan.h"

#include <sys/random.h>

/* Between two requests for a file that is good. */
#define REFRESH_MIN_S 60
#define REFRESH_MAX_S (24 * 60 * 60)

/* After failures, while there is no current file, and while there is one. */
#define RETRY_MIN_MS   1000
#define RETRY_MAX_MS   (5 * 60000)
#define PATIENT_MIN_MS 60000
#define PATIENT_MAX_MS (60 * 60000)
#define DOUBLINGS_MAX  16

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
    return value < min ? min : value > max ? max : value;
}

/* A quarter more or less, so that not all agents ask at once. */
static uint64_t spread(uint64_t ms)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random)) {
        random = 0;
    }
    return ms - ms / 4 + random % (ms / 2 + 1);
}

void crl_plan_success(struct crl_plan *plan, time_t next_update, time_t now)
{
    uint64_t left = next_update > now ? (uint64_t)(next_update - now) : 0;
    /* Towards its end more often than is polite: then it matters. */
    uint64_t min = left < REFRESH_MIN_S ? 1 : REFRESH_MIN_S;
    *plan = (struct crl_plan){
        .is_made = true,
        .next_update = next_update,
        .planned_at = now,
        .refresh_at = now + (time_t)clamp(left / 2, min, REFRESH_MAX_S),
    };
}

void crl_plan_failure(struct crl_plan *plan, time_t next_update, uint64_t now_ms, time_t now)
{
    bool is_current = next_update >= now;
    uint64_t min = is_current ? PATIENT_MIN_MS : RETRY_MIN_MS;
    uint64_t max = is_current ? PATIENT_MAX_MS : RETRY_MAX_MS;
    unsigned doublings = plan->failures < DOUBLINGS_MAX ? plan->failures : DOUBLINGS_MAX;
    uint64_t pause = spread(clamp(min << doublings, min, max));
    uint64_t left = is_current ? (uint64_t)(next_update - now + 1) * 1000 : UINT64_MAX;
    plan->is_made = true;
    plan->failures++;
    plan->next_update = next_update;
    plan->retry_ms = now_ms + (pause < left ? pause : left);
}

void crl_plan_step(struct crl_plan *plan, uint64_t now_ms)
{
    plan->retry_ms = now_ms;
}

uint64_t crl_plan_wait_ms(struct crl_plan *plan, uint64_t now_ms, time_t now)
{
    if (!plan->is_made) {
        return 0;
    }
    if (plan->failures > 0) {
        return plan->retry_ms > now_ms ? plan->retry_ms - now_ms : 0;
    }
    if (now < plan->planned_at) {
        crl_plan_success(plan, plan->next_update, now);
    }
    return now >= plan->refresh_at ? 0 : (uint64_t)(plan->refresh_at - now) * 1000;
}
