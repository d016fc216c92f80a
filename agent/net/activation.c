#include "net/activation.h"

#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The first descriptor that is handed over; the others follow. */
#define FIRST 3

/* What systemd calls a socket whose name nobody told it. */
#define NAMELESS "unknown"

#define HANDED_MAX 65536

/* Descriptors belong to the process, and so do these. */
static struct {
    char **names;
    size_t n;
} handed;

/* True when the variables speak to this process: a child inherits those of its parent. */
static bool is_ours(void)
{
    const char *text = getenv("LISTEN_PID");
    uint64_t pid;
    return text != NULL && parse_number(text, 1, UINT64_MAX, &pid) == 0 &&
           pid == (uint64_t)getpid();
}

/* The next of the names that colons separate, or what systemd says in place of one. */
static char *next_name(const char **names)
{
    if (*names == NULL) {
        return strdup(NAMELESS);
    }
    size_t len = strcspn(*names, ":");
    char *name = strndup(*names, len);
    *names = (*names)[len] == ':' ? *names + len + 1 : NULL;
    return name;
}

static int prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -1
                                                                   : fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Returns NULL, or why not. */
static const char *take(uint64_t n)
{
    const char *names = getenv("LISTEN_FDNAMES");
    handed.names = calloc(n, sizeof(*handed.names));
    for (uint64_t i = 0; handed.names != NULL && i < n; i++) {
        if (prepare(FIRST + (int)i) < 0) {
            return "LISTEN_FDS promises a socket that is not open";
        }
        handed.names[i] = next_name(&names);
        if (handed.names[i] == NULL) {
            return "out of memory";
        }
        handed.n++;
    }
    return handed.names == NULL ? "out of memory" : NULL;
}

int activation_take(const char **ret_why)
{
    const char *text = getenv("LISTEN_FDS"), *why = NULL;
    uint64_t n;
    if (text != NULL && is_ours()) {
        why = parse_number(text, 1, HANDED_MAX, &n) == 0 ? take(n)
                                                         : "LISTEN_FDS is no number of sockets";
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_PIDFDID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (why != NULL) {
        *ret_why = why;
        return -1;
    }
    return 0;
}

const char *activation_name(size_t i)
{
    return i < handed.n ? handed.names[i] : NULL;
}

size_t activation_find(const char *name, int *ret_fds, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < handed.n; i++) {
        if (strcmp(handed.names[i], name) != 0) {
            continue;
        }
        if (n < max) {
            ret_fds[n] = FIRST + (int)i;
        }
        n++;
    }
    return n;
}

/* What keeps us from accepting streams on it, or NULL. */
static const char *fault(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof(type);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        return errno == ENOTSOCK ? "is no socket" : strerror(errno);
    }
    if (type != SOCK_STREAM) {
        return "is no stream socket; use ListenStream=";
    }
    len = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens) {
        return "does not listen; use Accept=no";
    }
    return NULL;
}

int activation_inspect(int fd, struct addr *ret_addr, const char **ret_why)
{
    struct addr addr = {.len = sizeof(addr.un)};
    const char *why = fault(fd);
    if (why == NULL && getsockname(fd, &addr.sa, &addr.len) < 0) {
        why = strerror(errno);
    }
    if (why == NULL && addr_from_sockaddr(&addr.sa, addr.len, ret_addr) < 0) {
        why = "listens neither for TCP nor at a UNIX socket";
    }
    if (why != NULL) {
        *ret_why = why;
        return -1;
    }
    return 0;
}
