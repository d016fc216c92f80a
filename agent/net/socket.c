#include "net/socket.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A backend's host that vanished is noticed after two minutes, with data in flight or without,
 * however long the idle timeout. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES     4
#define USER_TIMEOUT_MS      (120 * 1000)

static void set(int fd, int level, int option, int value)
{
    /* An option that cannot be set costs comfort, not correctness. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* Without this, Nagle's algorithm and a delayed acknowledgement add 40 ms between our Finished and
 * the first request. */
static void send_at_once(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void keep_alive(int fd)
{
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

int socket_connect(const struct addr *addr)
{
    AUTO_CLOSE int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    send_at_once(fd);
    keep_alive(fd);
    if (connect(fd, &addr->sa, addr->len) < 0 && errno != EINPROGRESS) {
        return -1;
    }
    return cleanup_steal_fd(&fd);
}

int socket_accept(int listener, struct addr *ret_caller)
{
    struct addr caller = {.len = sizeof(caller.un)};
    int fd = accept4(listener, &caller.sa, &caller.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    if (caller.sa.sa_family != AF_UNIX) {
        send_at_once(fd);
    }
    *ret_caller = caller;
    return fd;
}

bool socket_is_connected(int fd)
{
    struct addr peer = {.len = sizeof(peer.un)};
    return getpeername(fd, &peer.sa, &peer.len) == 0;
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

void socket_explain(int error, struct failure *ret_failure)
{
    enum reason reason;
    switch (error) {
    case ECONNREFUSED:
        reason = REASON_connect_refused;
        break;
    case ETIMEDOUT:
        reason = REASON_connect_timeout;
        break;
    case ECONNRESET:
    case EPIPE:
        reason = REASON_upstream_reset;
        break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
        reason = REASON_limit_reached;
        break;
    case ENOMEM:
        reason = REASON_internal;
        break;
    default: /* ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, a firewall's EPERM or EACCES */
        reason = REASON_unreachable;
        break;
    }
    failure_set(ret_failure, reason, "%s%s", strerror(error),
                error == EADDRNOTAVAIL ? ": no free local port, or no address of that family" : "");
}

void socket_abort_on_close(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* The state of a TCP connection, or -1 for a socket of another kind. */
static int tcp_state(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_state : -1;
}

size_t socket_unacknowledged(int fd)
{
    int state = tcp_state(fd);
    int unsent = 0;
    /* After a reset the count stays as it was. */
    bool counts = state >= 0 && state != TCP_CLOSE && ioctl(fd, SIOCOUTQ, &unsent) == 0;
    return counts && unsent > 0 ? (size_t)unsent : 0;
}

bool socket_is_gone(int fd)
{
    return tcp_state(fd) == TCP_CLOSE;
}

static ssize_t send_with(int fd, const void *bytes, size_t len, int flags)
{
    ssize_t n;
    do {
        n = send(fd, bytes, len, MSG_NOSIGNAL | flags);
    } while (n < 0 && errno == EINTR);
    return n;
}

ssize_t socket_send(int fd, const void *bytes, size_t len)
{
    return send_with(fd, bytes, len, 0);
}

ssize_t socket_send_last(int fd, const void *bytes, size_t len)
{
    return send_with(fd, bytes, len, MSG_MORE);
}

ssize_t socket_recv(int fd, void *bytes, size_t size)
{
    ssize_t n;
    do {
        n = recv(fd, bytes, size, 0);
    } while (n < 0 && errno == EINTR);
    return n;
}

bool socket_has_hung_up(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0;
}

bool socket_would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}
