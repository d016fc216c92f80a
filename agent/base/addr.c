#include "base/addr.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

int addr_parse_ip(const char *text, uint16_t port, struct addr *ret_addr)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, text, &four) == 1) {
        *ret_addr = (struct addr){.len = sizeof(ret_addr->in)};
        ret_addr->in.sin_family = AF_INET;
        ret_addr->in.sin_port = htons(port);
        ret_addr->in.sin_addr = four;
        return 0;
    }
    if (inet_pton(AF_INET6, text, &six) == 1) {
        *ret_addr = (struct addr){.len = sizeof(ret_addr->in6)};
        ret_addr->in6.sin6_family = AF_INET6;
        ret_addr->in6.sin6_port = htons(port);
        ret_addr->in6.sin6_addr = six;
        return 0;
    }
    return -1;
}

int addr_from_path(const char *path, struct addr *ret_addr)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(ret_addr->un.sun_path)) {
        return -1;
    }
    *ret_addr = (struct addr){.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1)};
    ret_addr->un.sun_family = AF_UNIX;
    memcpy(ret_addr->un.sun_path, path, len + 1);
    return 0;
}

int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret_addr)
{
    bool ours = sa->sa_family == AF_INET || sa->sa_family == AF_INET6 || sa->sa_family == AF_UNIX;
    if (!ours || len > sizeof(ret_addr->un)) {
        return -1;
    }
    *ret_addr = (struct addr){.len = len};
    memcpy(&ret_addr->sa, sa, len);
    return 0;
}

const char *addr_format(const struct addr *addr, char text[static ADDR_TEXT_MAX])
{
    char ip[INET6_ADDRSTRLEN];
    switch (addr->sa.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &addr->in.sin_addr, ip, sizeof(ip));
        snprintf(text, ADDR_TEXT_MAX, "%s:%u", ip, addr_port(addr));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &addr->in6.sin6_addr, ip, sizeof(ip));
        snprintf(text, ADDR_TEXT_MAX, "[%s]:%u", ip, addr_port(addr));
        break;
    default:
        /* A caller of a UNIX socket usually has no path, and a long one has no final NUL. */
        snprintf(text, ADDR_TEXT_MAX, "unix:%.*s",
                 addr->len > offsetof(struct sockaddr_un, sun_path)
                     ? (int)(addr->len - offsetof(struct sockaddr_un, sun_path))
                     : 0,
                 addr->un.sun_path);
        break;
    }
    return text;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family) {
        return false;
    }
    switch (a->sa.sa_family) {
    case AF_INET:
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port &&
               a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
    default:
        return strcmp(a->un.sun_path, b->un.sun_path) == 0;
    }
}

bool addr_overlaps(const struct addr *a, const struct addr *b)
{
    bool is_same_port = a->sa.sa_family == b->sa.sa_family && a->sa.sa_family != AF_UNIX &&
                        addr_port(a) == addr_port(b);
    return addr_equal(a, b) || (is_same_port && (addr_is_wildcard(a) || addr_is_wildcard(b)));
}

bool addr_is_loopback(const struct addr *addr)
{
    switch (addr->sa.sa_family) {
    case AF_INET:
        return ntohl(addr->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
    default:
        return true;
    }
}

bool addr_is_wildcard(const struct addr *addr)
{
    switch (addr->sa.sa_family) {
    case AF_INET:
        return addr->in.sin_addr.s_addr == htonl(INADDR_ANY);
    case AF_INET6:
        return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
    default:
        return false;
    }
}

uint16_t addr_port(const struct addr *addr)
{
    switch (addr->sa.sa_family) {
    case AF_INET:
        return ntohs(addr->in.sin_port);
    case AF_INET6:
        return ntohs(addr->in6.sin6_port);
    default:
        return 0;
    }
}

void addr_set_port(struct addr *addr, uint16_t port)
{
    if (addr->sa.sa_family == AF_INET6) {
        addr->in6.sin6_port = htons(port);
    } else {
        addr->in.sin_port = htons(port);
    }
}
