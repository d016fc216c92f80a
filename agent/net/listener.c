#include "net/listener.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
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

static int bind_tcp(const struct addr *addr)
{
    const int on = 1;
    AUTO_CLOSE int fd = open_stream(addr->sa.sa_family);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) {
        return -1;
    }
    if (set_family(fd, addr) < 0 || bind(fd, &addr->sa, addr->len) < 0) {
        return -1;
    }
    return cleanup_steal_fd(&fd);
}

/* Finds out whether what stands at the path may be replaced: nothing, or a socket that nobody
 * listens on or that is shared. */
static int check_replaceable(const struct addr *addr, bool is_shared)
{
    struct stat status;
    if (lstat(addr->un.sun_path, &status) < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    if (is_shared) {
        return 0;
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

/* FNV-1a. */
static uint32_t hash(const char *text)
{
    uint32_t hash = 2166136261U;
    for (const char *at = text; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 16777619U;
    }
    return hash;
}

/* A name beside the final one, always the same, so that what a killed process left is replaced;
 * shorter than `PATH.new` where that is too long for a socket. */
static int hide(const struct addr *addr, struct addr *ret_hidden)
{
    char path[sizeof(addr->un.sun_path) + 32];
    snprintf(path, sizeof(path), "%s.new", addr->un.sun_path);
    if (addr_from_path(path, ret_hidden) == 0) {
        return 0;
    }
    const char *slash = strrchr(addr->un.sun_path, '/');
    int folder = slash != NULL ? (int)(slash - addr->un.sun_path) + 1 : 0;
    snprintf(path, sizeof(path), "%.*s.%08x", folder, addr->un.sun_path, hash(addr->un.sun_path));
    return addr_from_path(path, ret_hidden);
}

/* Opens it under its hidden name. */
static int open_unix(const struct addr *addr, const struct listener_access *access)
{
    struct addr hidden;
    AUTO_CLOSE int fd = open_stream(AF_UNIX);
    if (fd < 0 || check_replaceable(addr, access->is_shared) < 0 || hide(addr, &hidden) < 0 ||
        check_replaceable(&hidden, false) < 0) {
        return -1;
    }
    (void)unlink(hidden.un.sun_path);
    if (bind(fd, &hidden.sa, hidden.len) < 0) {
        return -1;
    }
    if (admit(&hidden, access) < 0 || listen(fd, BACKLOG) < 0) {
        listener_discard(addr);
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

/* One socket for each worker. */
static int bind_ports(const struct addr *addr, bool is_shared, int *ret_fds, size_t n)
{
    if (!is_shared && check_port_is_free(addr) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        ret_fds[i] = bind_tcp(addr);
        if (ret_fds[i] < 0) {
            close_all(ret_fds, i);
            return -1;
        }
    }
    return 0;
}

int listener_duplicate(int fd, int *ret_fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ret_fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (ret_fds[i] < 0) {
            close_all(ret_fds, i);
            return -1;
        }
    }
    return 0;
}

static int duplicate_unix(const struct addr *addr, const struct listener_access *access,
                          int *ret_fds, size_t n)
{
    ret_fds[0] = open_unix(addr, access);
    if (ret_fds[0] < 0) {
        return -1;
    }
    if (listener_duplicate(ret_fds[0], ret_fds + 1, n - 1) < 0) {
        listener_discard(addr);
        close_all(ret_fds, 1);
        return -1;
    }
    return 0;
}

int listener_open(const struct addr *addr, const struct listener_access *access, int *ret_fds,
                  size_t n)
{
    int rc = addr->sa.sa_family == AF_UNIX ? duplicate_unix(addr, access, ret_fds, n)
                                           : bind_ports(addr, access->is_shared, ret_fds, n);
    if (rc < 0 || access->is_held) {
        return rc;
    }
    if (listener_show(addr, ret_fds, n) < 0) {
        listener_discard(addr);
        close_all(ret_fds, n);
        return -1;
    }
    return 0;
}

int listener_show(const struct addr *addr, const int *fds, size_t n)
{
    if (addr->sa.sa_family == AF_UNIX) {
        struct addr hidden;
        return hide(addr, &hidden) < 0 ? -1 : rename(hidden.un.sun_path, addr->un.sun_path);
    }
    for (size_t i = 0; i < n; i++) {
        if (listen(fds[i], BACKLOG) < 0) {
            return -1;
        }
        listener_gather(fds[i]);
    }
    return 0;
}

void listener_discard(const struct addr *addr)
{
    struct addr hidden;
    int error = errno;
    if (addr->sa.sa_family == AF_UNIX && hide(addr, &hidden) == 0) {
        (void)unlink(hidden.un.sun_path);
    }
    errno = error;
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

void listener_yield(int fd, unsigned n_own)
{
    /* The kernel numbers the sockets of a port in the order in which they came, and puts the last
     * one in the place of one that is closed: the first behind ours is another's as long as ours
     * are open. Where there is no socket of that number, it spreads the callers as before. */
    struct sock_filter steps[] = {BPF_STMT(BPF_RET | BPF_K, n_own)};
    struct sock_fprog program;
    memset(&program, 0, sizeof(program)); /* its padding, too: the kernel reads all of it */
    program.len = 1;
    program.filter = steps;
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program));
}

void listener_gather(int fd)
{
    const int unused = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof(unused));
}
