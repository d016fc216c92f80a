#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)256 * 1024)

static char zeros[PIECE];
static char received[PIECE];

uint64_t exchange_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void exchange_request(struct request *ret, const char *path, uint64_t body_length, bool keep)
{
    char length[64] = "";
    if (body_length > 0) {
        snprintf(length, sizeof(length), "Content-Length: %ju\r\n", (uintmax_t)body_length);
    }
    int n = snprintf(ret->head, sizeof(ret->head), "%s %s HTTP/1.1\r\nHost: bench\r\n%s%s\r\n",
                     body_length > 0 ? "POST" : "GET", path, length,
                     keep ? "" : "Connection: close\r\n");
    ret->head_length = (size_t)n;
    ret->body_length = body_length;
}

int exchange_open(struct exchange *x, int epoll, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = x};
    int on = 1;

    memset(x, 0, sizeof(*x));
    x->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (x->fd < 0) {
        return -1;
    }
    setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if ((connect(x->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, x->fd, &event) < 0) {
        exchange_close(x);
        return -1;
    }
    return 0;
}

void exchange_begin(struct exchange *x, const struct request *request, uint64_t due_ns)
{
    x->request = request;
    x->due_ns = due_ns;
    x->first_byte_ns = 0;
    x->sent = 0;
    x->head_have = 0;
    x->has_head = false;
    x->body_wanted = x->body_have = 0;
}

static bool is_sent(const struct exchange *x)
{
    return x->sent == x->request->head_length + x->request->body_length;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

static enum exchange_state send_rest(struct exchange *x)
{
    const struct request *request = x->request;

    while (!is_sent(x)) {
        bool is_head = x->sent < request->head_length;
        const char *from = is_head ? request->head + x->sent : zeros;
        uint64_t end = request->head_length + (is_head ? 0 : request->body_length);
        size_t size = end - x->sent < PIECE ? (size_t)(end - x->sent) : PIECE;
        ssize_t n = send(x->fd, from, size, MSG_NOSIGNAL);
        if (n < 0) {
            return would_block() ? EXCHANGE_WAITS : EXCHANGE_FAILED;
        }
        x->sent += (uint64_t)n;
    }
    return EXCHANGE_WAITS;
}

/* Reads what the head says. */
static int judge_head(struct exchange *x)
{
    static const char length[] = "\r\nContent-Length:";

    if (memcmp(x->head, "HTTP/1.1 200 ", 13) != 0) {
        return -1;
    }
    const char *value = memmem(x->head, x->head_have, length, sizeof(length) - 1);
    if (value == NULL) {
        return -1;
    }
    x->body_wanted = strtoull(value + sizeof(length) - 1, NULL, 10);
    x->has_head = true;
    return 0;
}

/* Takes what belongs to the answer's head and returns how much that is, or -1. */
static ssize_t take_head(struct exchange *x, const char *data, size_t size)
{
    size_t before = x->head_have;
    size_t room = sizeof(x->head) - 1 - before;
    size_t n = size < room ? size : room;

    memcpy(x->head + before, data, n);
    x->head[before + n] = '\0';
    const char *end = memmem(x->head, before + n, "\r\n\r\n", 4);
    x->head_have = end != NULL ? (size_t)(end - x->head) + 4 : before + n;
    if (end != NULL) {
        return judge_head(x) < 0 ? -1 : (ssize_t)(x->head_have - before);
    }
    return n == size ? (ssize_t)n : -1;
}

static int take(struct exchange *x, const char *data, size_t size)
{
    ssize_t n = 0;

    if (x->first_byte_ns == 0) {
        x->first_byte_ns = exchange_now();
    }
    if (!x->has_head) {
        n = take_head(x, data, size);
    }
    if (n < 0) {
        return -1;
    }
    x->body_have += size - (size_t)n;
    return x->body_have > x->body_wanted ? -1 : 0;
}

static bool is_answered(const struct exchange *x)
{
    return x->has_head && x->body_have == x->body_wanted;
}

static enum exchange_state receive_rest(struct exchange *x)
{
    while (!is_answered(x)) {
        ssize_t n = recv(x->fd, received, sizeof(received), 0);
        if (n < 0) {
            return would_block() ? EXCHANGE_WAITS : EXCHANGE_FAILED;
        }
        if (n == 0 || take(x, received, (size_t)n) < 0) {
            return EXCHANGE_FAILED;
        }
    }
    return EXCHANGE_WAITS;
}

/* Between two exchanges there is nothing to come but the connection's end. */
static enum exchange_state look_for_end(const struct exchange *x)
{
    char byte;
    return recv(x->fd, &byte, 1, MSG_PEEK) < 0 && would_block() ? EXCHANGE_WAITS : EXCHANGE_FAILED;
}

enum exchange_state exchange_go(struct exchange *x)
{
    if (x->request == NULL) {
        return look_for_end(x);
    }
    if (send_rest(x) == EXCHANGE_FAILED || receive_rest(x) == EXCHANGE_FAILED) {
        return EXCHANGE_FAILED;
    }
    if (!is_sent(x) || !is_answered(x)) {
        return EXCHANGE_WAITS;
    }
    x->request = NULL;
    return EXCHANGE_DONE;
}

void exchange_close(struct exchange *x)
{
    if (x->fd >= 0) {
        close(x->fd);
    }
    x->fd = -1;
}
