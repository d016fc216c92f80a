#include "worker/experience.h"

#include "base/clock.h"
#include "base/log.h"

/* A backend that closes sessions so soon after they are ready does not want them. */
#define YOUNG_MS 1000

/* Failures that come within this time of each other are one row, whatever succeeds between them: of
 * several nodes behind one address one may be ill. */
#define QUIET_MS 60000

/* How long behind a close another is looked for that is like it, beyond the age of the first; and
 * by how much their ages may differ, beyond a third. */
#define REPEAT_MS 5000
#define ALIKE_MS  1000

/* A shorter age that has held for so many ages may be too short. */
#define GROW_AFTER 4

void experience_init(struct experience *experience, const struct service *service)
{
    *experience = (struct experience){
        .service = service,
        .max_age_ms = service->prewarm_max_age_ms,
    };
}

static void tell(const struct experience *experience, const struct addr *addr,
                 const struct failure *failure, const char *advice)
{
    char upstream[ADDR_TEXT_MAX];
    struct log_line line;
    log_begin(&line, LEVEL_WARNING, "no session can be kept ready");
    log_text(&line, "service", experience->service->name);
    if (addr->len > 0) {
        log_text(&line, "upstream", addr_format(addr, upstream));
    }
    log_reason(&line, failure->reason, failure->by_peer);
    log_text(&line, "detail", failure->detail);
    log_text(&line, "advice", advice);
    log_end(&line);
}

static void fail(struct experience *experience, uint64_t now_ms, const struct addr *addr,
                 const struct failure *failure, const char *advice)
{
    if (!experience->is_telling && now_ms >= experience->quiet_until_ms) {
        experience->is_telling = true;
        tell(experience, addr, failure, advice);
    }
    experience->quiet_until_ms = now_ms + QUIET_MS;
    backoff_fail(&experience->backoff, now_ms);
}

void experience_note_failure(struct experience *experience, uint64_t now_ms,
                             const struct addr *addr, const struct failure *failure)
{
    fail(experience, now_ms, addr, failure, reason_advice(failure->reason));
}

static bool is_alike(uint64_t age_ms, uint64_t other_ms)
{
    return age_ms <= other_ms + other_ms / 3 + ALIKE_MS &&
           other_ms <= age_ms + age_ms / 3 + ALIKE_MS;
}

/* Remembers a close. True when it repeats the one before: those that were begun before that say no
 * more than it did. */
static bool note_repeat(struct experience *experience, uint64_t now_ms, const struct life *life)
{
    uint64_t age = now_ms - life->up_ms, before = experience->closed_age_ms;
    uint64_t at = experience->closed_ms;
    if (life->begun_ms < at) {
        return false;
    }
    experience->closed_ms = now_ms;
    experience->closed_age_ms = age;
    return at > 0 && life->begun_ms <= at + before + REPEAT_MS && is_alike(age, before);
}

void experience_note_close(struct experience *experience, uint64_t now_ms, const struct life *life,
                           const struct addr *addr, const struct failure *failure)
{
    uint64_t shorter = (now_ms - life->up_ms) * 3 / 4;
    bool is_repeated = note_repeat(experience, now_ms, life);
    if (!is_repeated && !experience->is_unwanted) {
        return;
    }
    if (!experience_is_lasting(now_ms, life)) {
        experience->is_unwanted = true;
        fail(experience, now_ms, addr, failure,
             "the backend ends sessions at once on which nothing is said: set prewarm = 0 for this "
             "service");
    } else if (shorter < experience->max_age_ms) {
        experience->max_age_ms = shorter;
        experience->changed_ms = now_ms;
    }
}

void experience_note_proof(struct experience *experience, const struct life *life)
{
    backoff_prove(&experience->backoff, life->begun_ms);
    bool is_bad = experience_is_bad(experience);
    experience->is_unwanted &= is_bad;
    experience->is_telling &= is_bad;
}

bool experience_is_lasting(uint64_t now_ms, const struct life *life)
{
    return now_ms >= life->ready_ms + YOUNG_MS;
}

void experience_note_age(struct experience *experience, uint64_t now_ms, const struct life *life)
{
    uint64_t most = experience->service->prewarm_max_age_ms, age = experience->max_age_ms;
    if (age < most && now_ms - experience->changed_ms >= GROW_AFTER * age) {
        experience->max_age_ms = clock_sooner(age + age / 16 + 1, most);
        experience->changed_ms = now_ms;
    }
    experience_note_proof(experience, life);
}

bool experience_encourage(struct experience *experience)
{
    return !experience->is_unwanted && backoff_hurry(&experience->backoff);
}

bool experience_may_try(const struct experience *experience, uint64_t now_ms)
{
    return backoff_is_over(&experience->backoff, now_ms);
}

uint64_t experience_retry_ms(const struct experience *experience)
{
    return experience->backoff.retry_ms;
}

bool experience_is_bad(const struct experience *experience)
{
    return experience->backoff.failures > 0;
}

bool experience_would_prove(const struct experience *experience, const struct life *life)
{
    return life->begun_ms > experience->backoff.failed_ms;
}

void experience_start_over(struct experience *experience)
{
    experience->is_unwanted = false;
    (void)backoff_hurry(&experience->backoff);
}
