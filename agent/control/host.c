#include "control/host.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_MS      5000 /* /etc/hosts has no TTL and is cheap to read */
#define RETRY_MIN_MS  1000
#define RETRY_MAX_MS  5000
#define WARN_AGAIN_MS 60000
#define FAILURE_LEN   256
#define ADDRESSES_LEN 1024

struct host {
    char *name;
    char *users; /* NULL: not told */
    struct dns *dns;
    struct dns_question question;
    uv_timer_t timer;      /* until the next question */
    host_changed *changed; /* NULL: nobody needs it any more, or not yet */
    void *ctx;
    bool is_asking;

    struct answer *answer;
    char failure[FAILURE_LEN]; /* "": the last question did not fail */
    uint64_t answered_ms;      /* by clock_ms(), the last good answer; 0: none */
    uint64_t retry_ms;
    uint64_t warned_ms;
};

static void ask(struct host *host)
{
    host->is_asking = true;
    dns_ask(host->dns, &host->question);
}

static void on_timer(uv_timer_t *timer)
{
    ask(timer->data);
}

/* ---- what the log says ---- */

static void log_found(const struct host *host, const char *message, bool is_local)
{
    char addresses[ADDRESSES_LEN];
    struct log_line line;
    log_begin(&line, LEVEL_INFO, message);
    log_text(&line, "host", host->name);
    log_text(&line, "services", host->users);
    log_text(&line, "addresses", answer_format(host->answer, addresses, sizeof(addresses)));
    if (is_local) {
        log_text(&line, "source", "/etc/hosts");
    } else {
        log_number(&line, "ttl", host->answer->ttl_s);
    }
    log_end(&line);
}

static void log_failure(const struct host *host)
{
    char addresses[ADDRESSES_LEN];
    struct log_line line;
    log_begin(&line, LEVEL_WARNING, "name does not resolve");
    log_text(&line, "host", host->name);
    log_text(&line, "services", host->users);
    log_reason(&line, REASON_dns_failed, false);
    log_text(&line, "detail", host->failure);
    if (host->answer != NULL) {
        log_text(&line, "kept", answer_format(host->answer, addresses, sizeof(addresses)));
    }
    log_end(&line);
}

/* ---- answers ---- */

/* A good answer. The same addresses in another order, as resolvers rotate them, are no change. */
static void take(struct host *host, struct answer *answer, bool is_local)
{
    bool is_first = host->answer == NULL;
    bool has_recovered = host->failure[0] != '\0';
    bool is_same = !is_first && answer_same(host->answer, answer);
    if (is_same) {
        host->answer->ttl_s = answer->ttl_s;
        free(answer);
    } else {
        free(host->answer);
        host->answer = answer;
    }
    host->answered_ms = clock_ms();
    host->failure[0] = '\0';
    host->retry_ms = 0;
    host->warned_ms = 0;
    uint64_t lasts_ms = is_local ? LOCAL_MS : answer_lasts_ms(host->answer);
    uv_timer_start(&host->timer, on_timer, lasts_ms, 0);

    if (!is_same) {
        host->changed(host->ctx);
    }
    if (is_first || has_recovered) {
        log_found(host, "name resolved", is_local);
    } else if (!is_same) {
        log_found(host, "addresses changed", is_local);
    }
}

/* The next delay between two attempts, doubled up to its maximum, with up to a quarter taken off so
 * that many names do not ask in step. */
static uint64_t next_retry_ms(struct host *host)
{
    uint64_t doubled = host->retry_ms == 0 ? RETRY_MIN_MS : host->retry_ms * 2;
    host->retry_ms = doubled < RETRY_MAX_MS ? doubled : RETRY_MAX_MS;
    uint32_t random = 0;
    uv_random(NULL, NULL, &random, sizeof(random), 0, NULL);
    return host->retry_ms - random % (host->retry_ms / 4);
}

static void endure(struct host *host, const char *failure)
{
    bool is_news = strncmp(host->failure, failure, sizeof(host->failure) - 1) != 0;
    snprintf(host->failure, sizeof(host->failure), "%s", failure);
    uv_timer_start(&host->timer, on_timer, next_retry_ms(host), 0);
    if (log_due(&host->warned_ms, WARN_AGAIN_MS)) {
        log_failure(host);
    }
    if (is_news && host->answer == NULL) {
        host->changed(host->ctx);
    }
}

static void on_answer(void *ctx, struct answer *answer, bool is_local, const char *failure)
{
    struct host *host = ctx;
    host->is_asking = false;
    if (host->changed == NULL) {
        free(answer);
    } else if (answer != NULL) {
        take(host, answer, is_local);
    } else {
        endure(host, failure);
    }
}

/* ---- life ---- */

struct host *host_new(uv_loop_t *loop, struct dns *dns, const char *name)
{
    struct host *host = calloc(1, sizeof(*host));
    if (host == NULL || (host->name = strdup(name)) == NULL) {
        free(host);
        return NULL;
    }
    host->dns = dns;
    host->question.host = host->name;
    host->question.done = on_answer;
    host->question.ctx = host;
    uv_timer_init(loop, &host->timer);
    host->timer.data = host;
    return host;
}

const char *host_name(const struct host *host)
{
    return host->name;
}

void host_set_users(struct host *host, char *users)
{
    free(host->users);
    host->users = users;
}

void host_watch(struct host *host, host_changed *changed, void *ctx)
{
    bool is_first = host->changed == NULL;
    host->changed = changed;
    host->ctx = ctx;
    if (is_first) {
        ask(host);
    }
}

void host_leave(struct host *host)
{
    host->changed = NULL;
    uv_timer_stop(&host->timer);
}

bool host_is_asking(const struct host *host)
{
    return host->is_asking;
}

const struct answer *host_answer(const struct host *host)
{
    return host->answer;
}

int64_t host_age_ms(const struct host *host)
{
    return host->answered_ms > 0 ? (int64_t)(clock_ms() - host->answered_ms) : -1;
}

const char *host_failure(const struct host *host)
{
    return host->failure[0] != '\0' ? host->failure : NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct host *host = handle->data;
    free(host->answer);
    free(host->users);
    free(host->name);
    free(host);
}

struct host *host_free(struct host *host)
{
    if (host != NULL) {
        uv_close((uv_handle_t *)&host->timer, on_closed);
    }
    return NULL;
}
