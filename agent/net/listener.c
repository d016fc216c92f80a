#include "net/listener.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel cuts this to net.core.somaxconn. */
#define BACKLOG 4096

static int open_stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* `listen = [::]:port` means IPv6; IPv4 has a line of its own. */
static int set_family(int fd, const struct addr *addr)
{
    const int on = 1;
    return addr->sa.sa_family == AF_INET6
               ? setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))
               : 0;
}

/* With SO_REUSEPORT a second agent of the same user would share the port, and the callers, in
 * silence. Without it bind() tells. */
static int check_port_is_free(const struct addr *addr)
{
    const int on = 1;
    AUTO_CLOSE int fd = open_stream(addr->sa.sa_family);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        set_family(fd, addr) < 0) {
        return -1;
    }
    return bind(fd, &addr->sa, addr->len);
}

static int open_tcp(const struct addr *addr)
{
    const int on = 1;
    AUTO_CLOSE int fd = open_stream(addr->sa.sa_family);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) {
        return -1;
    }
    if (set_family(fd, addr) < 0 || bind(fd, &addr->sa, addr->len) < 0 || listen(fd, BACKLOG) < 0) {
        return -1;
    }
    return cleanup_steal_fd(&fd);
}

/* Finds out whether what stands at the path may be replaced: nothing, or a socket that nobody
 * listens on. */
static int check_replaceable(const struct addr *addr)
{
    struct stat status;
    if (lstat(addr->un.sun_path, &status) < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    AUTO_CLOSE int probe = open_stream(AF_UNIX);
    if (probe < 0) {
        return -1;
    }
    if (connect(probe, &addr->sa, addr->len) < 0 && (errno == ECONNREFUSED || errno == ENOENT)) {
        return 0;
    }
    errno = EADDRINUSE;
    return -1;
}

/* Gives the socket its owner and mode while nobody can connect yet. */
static int admit(const struct addr *hidden, const struct listener_access *access)
{
    const char *path = hidden->un.sun_path;
    bool ours = access->user == (uid_t)-1 && access->group == (gid_t)-1;
    return (!ours && chown(path, access->user, access->group) < 0) ? -1 : chmod(path, access->mode);
}

/* A name beside the final one; shorter than `PATH.PID` where that is too long for a socket. */
static int hide(const struct addr *addr, struct addr *ret_hidden)
{
    char path[sizeof(addr->un.sun_path) + 32];
    snprintf(path, sizeof(path), "%s.%d", addr->un.sun_path, (int)getpid());
    if (addr_from_path(path, ret_hidden) == 0) {
        return 0;
    }
    const char *slash = strrchr(addr->un.sun_path, '/');
    int folder = slash != NULL ? (int)(slash - addr->un.sun_path) + 1 : 0;
    snprintf(path, sizeof(path), "%.*s.%d", folder, addr->un.sun_path, (int)getpid());
    return addr_from_path(path, ret_hidden);
}

static int open_unix(const struct addr *addr, const struct listener_access *access)
{
    struct addr hidden;
    AUTO_CLOSE int fd = open_stream(AF_UNIX);
    if (fd < 0 || check_replaceable(addr) < 0 || hide(addr, &hidden) < 0 ||
        check_replaceable(&hidden) < 0) {
        return -1;
    }
    (void)unlink(hidden.un.sun_path);
    if (bind(fd, &hidden.sa, hidden.len) < 0) {
        return -1;
    }
    if (admit(&hidden, access) < 0 || listen(fd, BACKLOG) < 0 ||
        rename(hidden.un.sun_path, addr->un.sun_path) < 0) {
        int error = errno;
        (void)unlink(hidden.un.sun_path);
        errno = error;
        return -1;
    }
    return cleanup_steal_fd(&fd);
}

static void close_all(const int *fds, size_t n)
{
    int error = errno;
    for (size_t i = 0; i < n; i++) {
        close(fds[i]);
    }
    errno = error;
}

int listener_open(const struct addr *addr, const struct listener_access *access, int *ret_fds,
                  size_t n)
{
    bool is_unix = addr->sa.sa_family == AF_UNIX;
    if (!is_unix && check_port_is_free(addr) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        int fd;
        if (!is_unix) {
            fd = open_tcp(addr);
        } else if (i == 0) {
            fd = open_unix(addr, access);
        } else {
            fd = fcntl(ret_fds[0], F_DUPFD_CLOEXEC, 0);
        }
        if (fd < 0) {
            if (is_unix && i > 0) {
                (void)unlink(addr->un.sun_path);
            }
            close_all(ret_fds, i);
            return -1;
        }
        ret_fds[i] = fd;
    }
    return 0;
}

int listener_remember(const struct addr *addr, struct listener_file *ret_file)
{
    struct stat status;
    if (lstat(addr->un.sun_path, &status) < 0) {
        return -1;
    }
    *ret_file = (struct listener_file){*addr, status.st_dev, status.st_ino};
    return 0;
}

void listener_unlink(const struct listener_file *file)
{
    const char *path = file->addr.un.sun_path;
    struct stat status;
    if (lstat(path, &status) == 0 && status.st_dev == file->device &&
        status.st_ino == file->inode) {
        (void)unlink(path);
    }
}
