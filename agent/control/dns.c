#include "control/dns.h"

#include "base/clock.h"
#include "control/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define RENEW_MS    1000 /* after failures a new channel is opened at most this often */
#define SERVERS_LEN 128
#define FAILURE_LEN 256

/* Enough of a file's status to see that it was changed or replaced. */
struct fingerprint {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct dns {
    uv_loop_t *loop;
    struct channel *channel; /* the one that is asked; NULL: none could be opened yet */
    struct list retired;     /* channels that still have answers to come */
    struct fingerprint resolv_conf;
    bool has_failed; /* the channel went unheard: its sockets may be those of a network long gone */
    uint64_t renewed_ms;

    struct list waiting;               /* questions whose turn has not come */
    unsigned asked;                    /* over all channels */
    const struct dns_question *asking; /* the one whose call has not returned yet */
    bool is_ending;
};

/* ---- which channel to ask ---- */

static struct fingerprint take_fingerprint(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        return (struct fingerprint){0};
    }
    return (struct fingerprint){status.st_dev, status.st_ino, status.st_size, status.st_mtim};
}

static bool is_same(const struct fingerprint *a, const struct fingerprint *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* c-ares reads resolv.conf only when a channel is made, so a new one is made when that changed. */
static void renew_channel(struct dns *dns)
{
    struct fingerprint now = take_fingerprint(RESOLV_CONF);
    bool has_changed = !is_same(&now, &dns->resolv_conf);
    bool is_due = dns->has_failed && clock_ms() - dns->renewed_ms >= RENEW_MS;
    if (dns->channel != NULL && !has_changed && !is_due) {
        return;
    }
    struct channel *channel = channel_open(dns->loop);
    if (channel == NULL) {
        return;
    }
    if (dns->channel != NULL) {
        list_append(&dns->retired, &dns->channel->link);
        channel_retire(dns->channel);
    }
    dns->channel = channel;
    dns->resolv_conf = now;
    dns->has_failed = false;
    dns->renewed_ms = clock_ms();
}

/* ---- asking and answering ---- */

static const char *describe(const struct dns_question *question, int status, char *text,
                            size_t size)
{
    char servers[SERVERS_LEN];
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_ENOTFOUND:
        return "no such name";
    case ARES_ESERVFAIL:
        return "server failure";
    case ARES_EREFUSED:
        return "the resolver refused the question";
    case ARES_ETIMEOUT:
        snprintf(text, size, "no answer from %s",
                 channel_servers(question->channel, servers, sizeof(servers)));
        return text;
    case ARES_ECONNREFUSED: /* older c-ares do not tell the one from the other */
        snprintf(text, size, "server failure, or nothing listens at %s",
                 channel_servers(question->channel, servers, sizeof(servers)));
        return text;
    default:
        return ares_strerror(status);
    }
}

static void ask_waiting(struct dns *dns);

static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct dns_question *question = ctx;
    struct dns *dns = question->dns;
    struct answer *answer = status == ARES_SUCCESS ? answer_new(info) : NULL;
    ares_freeaddrinfo(info);
    question->channel->asked--;
    dns->asked--;
    if (dns->is_ending) {
        free(answer);
        return;
    }
    char text[FAILURE_LEN];
    const char *failure = NULL;
    if (answer == NULL) {
        failure = describe(question, status, text, sizeof(text));
        bool was_unheard = status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED;
        dns->has_failed |= was_unheard && question->channel == dns->channel;
    }
    question->done(question->ctx, answer, question == dns->asking, failure);
    ask_waiting(dns);
}

static void ask(struct dns *dns, struct dns_question *question)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    renew_channel(dns);
    struct channel *channel = dns->channel;
    if (channel == NULL) {
        question->done(question->ctx, NULL, false, "the DNS library cannot be set up");
        return;
    }
    question->channel = channel;
    channel->asked++;
    dns->asked++;
    dns->asking = question;
    ares_getaddrinfo(channel->ares, question->host, NULL, &hints, on_answer, question);
    dns->asking = NULL;
    channel_settle(channel);
}

/* Asks as many as may be under way. An answer that comes inside the asking call leads back here,
 * and then the loop that is already running goes on with the next question. */
static void ask_waiting(struct dns *dns)
{
    while (dns->asking == NULL && dns->asked < DNS_ASKED_MAX && !list_empty(&dns->waiting)) {
        struct dns_question *question = list_item(dns->waiting.next, struct dns_question, link);
        list_remove(&question->link);
        ask(dns, question);
    }
}

void dns_ask(struct dns *dns, struct dns_question *question)
{
    question->dns = dns;
    list_append(&dns->waiting, &question->link);
    ask_waiting(dns);
}

/* ---- life ---- */

struct dns *dns_new(uv_loop_t *loop)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        return NULL;
    }
    struct dns *dns = calloc(1, sizeof(*dns));
    if (dns == NULL) {
        ares_library_cleanup();
        return NULL;
    }
    dns->loop = loop;
    list_init(&dns->retired);
    list_init(&dns->waiting);
    return dns;
}

struct dns *dns_free(struct dns *dns)
{
    if (dns == NULL) {
        return NULL;
    }
    dns->is_ending = true;
    if (dns->channel != NULL) {
        channel_close(dns->channel);
    }
    LIST_EACH_SAFE (link, &dns->retired) {
        channel_close(list_item(link, struct channel, link));
    }
    free(dns);
    ares_library_cleanup();
    return NULL;
}

const char *dns_library_version(void)
{
    return ares_version(NULL);
}
