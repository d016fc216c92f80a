/* Connected stream sockets: all of them non-blocking and close-on-exec. */
#pragma once

#include "base/addr.h"
#include "base/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Begins to connect. Returns the socket, connected once it is writable and socket_error() is 0; or
 * -1 with errno set. TCP sockets send small segments at once and keep the connection alive. */
int socket_connect(const struct addr *addr);

/* Accepts a caller. Returns the socket and its address, or -1 with errno set. */
int socket_accept(int listener, struct addr *ret_caller);

/* True once connect() has succeeded, and until the connection is over. */
bool socket_is_connected(int fd);

/* The pending error of a socket, which this clears; 0 when there is none. */
int socket_error(int fd);

/* Turns the errno of a connection attempt into a failure. */
void socket_explain(int error, struct failure *ret_failure);

/* Makes close() abort the connection: a TCP peer gets a reset, not an end of file. */
void socket_abort_on_close(int fd);

/* Bytes handed to the kernel of a TCP connection that the peer's kernel has not acknowledged yet:
 * what a reset would take back. 0 for a connection that is gone, and for UNIX sockets, which take
 * nothing back. */
size_t socket_unacknowledged(int fd);

/* True when a TCP connection is over in both directions, for example by the peer's reset. */
bool socket_is_gone(int fd);

/* True when the peer has finished its stream, whatever is still to be read before that. */
bool socket_has_hung_up(int fd);

/* send(2) and recv(2) without signals and without EINTR; -1 with errno set. */
ssize_t socket_send(int fd, const void *bytes, size_t len);
ssize_t socket_recv(int fd, void *bytes, size_t size);

/* socket_send() for the last piece of a stream, whose end follows at once, in the same segment. */
ssize_t socket_send_last(int fd, const void *bytes, size_t len);

/* True for the errno of an operation that would have to wait. */
bool socket_would_block(int error);
