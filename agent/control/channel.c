#include "control/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* c-ares doubles the timeout for the second try: 4.5 s in all for one resolver. That leaves a part
 * of the connect budget to a second resolver when the first is dead, and to the one address family
 * that is answered when the other is not. */
#define TIMEOUT_MS 1500
#define TRIES      2

/* A socket of c-ares and who watches it. */
struct watched {
    struct list link;
    struct channel *channel;
    ares_socket_t fd;
    uv_poll_t poll;
};

static void release(struct channel *channel)
{
    if (--channel->handles == 0) {
        free(channel);
    }
}

static void process(struct channel *channel, ares_socket_t readable, ares_socket_t writable)
{
    ares_process_fd(channel->ares, readable, writable);
    channel_settle(channel);
}

static void on_timer(uv_timer_t *timer)
{
    process(timer->data, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void channel_settle(struct channel *channel)
{
    if (channel->is_retired && channel->asked == 0) {
        channel_close(channel);
        return;
    }
    struct timeval wait;
    if (ares_timeout(channel->ares, NULL, &wait) == NULL) {
        uv_timer_stop(&channel->timer);
        return;
    }
    uint64_t wait_ms = (uint64_t)wait.tv_sec * 1000 + (uint64_t)wait.tv_usec / 1000 + 1;
    uv_timer_start(&channel->timer, on_timer, wait_ms, 0);
}

/* ---- sockets ---- */

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct watched *watched = poll->data;
    bool has_failed = status < 0; /* then c-ares shall find out by reading */
    process(watched->channel, has_failed || events & UV_READABLE ? watched->fd : ARES_SOCKET_BAD,
            events & UV_WRITABLE ? watched->fd : ARES_SOCKET_BAD);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct watched *watched = handle->data;
    release(watched->channel);
    free(watched);
}

static struct watched *find(struct channel *channel, ares_socket_t fd)
{
    LIST_EACH (link, &channel->sockets) {
        struct watched *watched = list_item(link, struct watched, link);
        if (watched->fd == fd) {
            return watched;
        }
    }
    return NULL;
}

/* NULL when that is impossible: c-ares then gets no event for the socket, and its timeout ends the
 * question. */
static struct watched *watch(struct channel *channel, ares_socket_t fd)
{
    struct watched *watched = calloc(1, sizeof(*watched));
    if (watched == NULL || uv_poll_init(channel->loop, &watched->poll, fd) < 0) {
        free(watched);
        return NULL;
    }
    watched->channel = channel;
    watched->fd = fd;
    watched->poll.data = watched;
    list_append(&channel->sockets, &watched->link);
    channel->handles++;
    return watched;
}

static void unwatch(struct watched *watched)
{
    list_remove(&watched->link);
    uv_close((uv_handle_t *)&watched->poll, on_socket_closed);
}

/* c-ares tells what it waits for; neither means that it is about to close the socket. */
static void on_interest(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct channel *channel = ctx;
    struct watched *watched = find(channel, fd);
    if (!readable && !writable) {
        if (watched != NULL) {
            unwatch(watched);
        }
        return;
    }
    if (watched == NULL) {
        watched = watch(channel, fd);
    }
    if (watched != NULL) {
        int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
        uv_poll_start(&watched->poll, events, on_event);
    }
}

/* ---- life ---- */

static int open_ares(struct channel *channel)
{
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS,
        .timeout = TIMEOUT_MS,
        .tries = TRIES,
        .sock_state_cb = on_interest,
        .sock_state_cb_data = channel,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
    mask |= ARES_OPT_QUERY_CACHE; /* for 0 seconds: we ask only when a TTL has run out */
#endif
    return ares_init_options(&channel->ares, &options, mask) == ARES_SUCCESS ? 0 : -1;
}

struct channel *channel_open(uv_loop_t *loop)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL) {
        return NULL;
    }
    list_init(&channel->link);
    list_init(&channel->sockets);
    channel->loop = loop;
    if (open_ares(channel) < 0) {
        free(channel);
        return NULL;
    }
    uv_timer_init(loop, &channel->timer);
    channel->timer.data = channel;
    channel->handles = 1;
    return channel;
}

void channel_retire(struct channel *channel)
{
    channel->is_retired = true;
    if (channel->asked == 0) {
        uv_timer_start(&channel->timer, on_timer, 0, 0);
    }
}

const char *channel_servers(struct channel *channel, char *text, size_t size)
{
#if ARES_VERSION >= 0x011800
    char *servers = ares_get_servers_csv(channel->ares);
    snprintf(text, size, "%s", servers != NULL ? servers : "no resolver");
    ares_free_string(servers);
#else
    struct ares_addr_port_node *servers = NULL;
    size_t len = 0;
    snprintf(text, size, "no resolver");
    ares_get_servers_ports(channel->ares, &servers);
    for (const struct ares_addr_port_node *at = servers; at != NULL && len < size; at = at->next) {
        char ip[INET6_ADDRSTRLEN];
        ares_inet_ntop(at->family, &at->addr, ip, sizeof(ip));
        len += (size_t)snprintf(text + len, size - len, "%s%s", len > 0 ? "," : "", ip);
    }
    ares_free_data(servers);
#endif
    return text;
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void channel_close(struct channel *channel)
{
    list_remove(&channel->link);
    ares_destroy(channel->ares); /* tells on_interest() of every socket */
    uv_close((uv_handle_t *)&channel->timer, on_timer_closed);
}
