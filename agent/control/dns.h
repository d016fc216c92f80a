/* Questions to the system's resolvers: both address families, CNAMEs followed, /etc/hosts first.
 * What /etc/resolv.conf says is followed when it changes. At most DNS_ASKED_MAX questions are under
 * way; more wait their turn. */
#pragma once

#include "base/list.h"
#include "control/answer.h"

#include <uv.h>

#define DNS_ASKED_MAX 64

struct dns;

/* Called once for each question. A good answer is the callee's to free; without one it is NULL and
 * `failure` is a clause that is valid during the call. `is_local` tells that no resolver was asked,
 * and that the answer therefore has no TTL. */
typedef void dns_done(void *ctx, struct answer *answer, bool is_local, const char *failure);

/* A question under way. It is the asker's memory and dns's to use until it is answered. */
struct dns_question {
    struct list link;
    const char *host;
    dns_done *done;
    void *ctx;
    struct dns *dns;
    struct channel *channel;
};

/* Returns NULL when memory is out. */
struct dns *dns_new(uv_loop_t *loop);

/* Asks where `question->host` is; `host`, `done` and `ctx` are set by the caller. May call `done`
 * before it returns. From there the question may not be asked again. */
void dns_ask(struct dns *dns, struct dns_question *question);

/* Ends all questions without calling `done`; to be called outside of `done`. The loop must turn
 * once more for the memory to be freed. Accepts NULL; returns NULL. */
struct dns *dns_free(struct dns *dns);

/* c-ares's version at run time. */
const char *dns_library_version(void);
