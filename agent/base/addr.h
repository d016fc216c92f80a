/* A socket address: IPv4, IPv6 or UNIX. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Enough for any text that addr_format() writes, and its final NUL. */
#define ADDR_TEXT_MAX 128

struct addr {
    socklen_t len; /* of the member in use */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* Reads an IP literal, "192.0.2.1" or "2001:db8::1", without brackets. Returns -1 for anything
 * else. */
int addr_parse_ip(const char *text, uint16_t port, struct addr *ret_addr);

/* Makes the address of a UNIX socket. Returns -1 when the path is empty or too long (107 bytes). */
int addr_from_path(const char *path, struct addr *ret_addr);

/* Copies a socket address of at most sizeof(struct sockaddr_un) bytes as the kernel or a resolver
 * gave it. Returns -1 for a family that is none of ours. */
int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret_addr);

/* Writes "192.0.2.1:443", "[2001:db8::1]:443", "unix:/path" or, for a caller without an address,
 * "unix:". Returns `text`. */
const char *addr_format(const struct addr *addr, char text[static ADDR_TEXT_MAX]);

/* True when both are the same family, address and port, or the same path. */
bool addr_equal(const struct addr *a, const struct addr *b);

/* True when a socket that listens at one is in the way of one at the other: they are equal, or of
 * the same family and port and one is a wildcard. */
bool addr_overlaps(const struct addr *a, const struct addr *b);

/* True for 127.0.0.0/8, ::1 and UNIX sockets. */
bool addr_is_loopback(const struct addr *addr);

/* True for 0.0.0.0 and ::. */
bool addr_is_wildcard(const struct addr *addr);

/* The port in host order; 0 for a UNIX socket. */
uint16_t addr_port(const struct addr *addr);

/* Sets the port, in host order, of an IP address. */
void addr_set_port(struct addr *addr, uint16_t port);
