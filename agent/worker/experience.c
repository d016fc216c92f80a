#include "worker/experience.h"

#include "base/clock.h"
#include "base/log.h"

/* A backend that closes sessions so soon after they are ready does not want them. */
#define YOUNG_MS 1000

/* A shorter age that has held for so many ages may be too short. */
#define GROW_AFTER 4

void experience_init(struct experience *experience, const struct service *service)
{
    *experience = (struct experience){
        .service = service,
        .max_age_ms = service->prewarm_max_age_ms,
    };
}

static void tell(struct experience *experience, const struct addr *addr,
                 const struct failure *failure, const char *advice)
{
    char upstream[ADDR_TEXT_MAX];
    struct log_line line;
    if (experience->is_telling) {
        return;
    }
    experience->is_telling = true;
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

/* To be called whenever the backoff may have been reset. */
static void note_calm(struct experience *experience)
{
    experience->is_telling &= experience->backoff.failures > 0;
}

void experience_note_failure(struct experience *experience, uint64_t now_ms,
                             const struct addr *addr, const struct failure *failure)
{
    tell(experience, addr, failure, reason_advice(failure->reason));
    backoff_fail(&experience->backoff, now_ms);
}

void experience_note_close(struct experience *experience, uint64_t now_ms, uint64_t born_ms,
                           uint64_t ready_ms, const struct addr *addr,
                           const struct failure *failure)
{
    uint64_t shorter = (now_ms - born_ms) * 3 / 4;
    if (!experience_is_lasting(now_ms, ready_ms)) {
        experience->is_unwanted = true;
        tell(experience, addr, failure,
             "the backend ends sessions at once on which nothing is said: set prewarm = 0 for this "
             "service");
        backoff_fail(&experience->backoff, now_ms);
    } else if (shorter < experience->max_age_ms) {
        experience->max_age_ms = shorter;
        experience->changed_ms = now_ms;
    }
}

void experience_note_proof(struct experience *experience, uint64_t born_ms)
{
    backoff_prove(&experience->backoff, born_ms);
    experience->is_unwanted &= experience->backoff.failures > 0;
    note_calm(experience);
}

bool experience_is_lasting(uint64_t now_ms, uint64_t ready_ms)
{
    return now_ms >= ready_ms + YOUNG_MS;
}

void experience_note_age(struct experience *experience, uint64_t now_ms, uint64_t born_ms)
{
    uint64_t most = experience->service->prewarm_max_age_ms, age = experience->max_age_ms;
    if (age < most && now_ms - experience->changed_ms >= GROW_AFTER * age) {
        experience->max_age_ms = clock_sooner(age + age / 16 + 1, most);
        experience->changed_ms = now_ms;
    }
    experience_note_proof(experience, born_ms);
}

bool experience_encourage(struct experience *experience)
{
    if (experience->backoff.failures == 0 || experience->is_unwanted) {
        return false;
    }
    backoff_reset(&experience->backoff);
    note_calm(experience);
    return true;
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

bool experience_would_prove(const struct experience *experience, uint64_t born_ms)
{
    return born_ms > experience->backoff.failed_ms;
}

void experience_start_over(struct experience *experience)
{
    backoff_reset(&experience->backoff);
    experience->is_unwanted = false;
    note_calm(experience);
}
