/* One HTTP exchange after another on one connection, without ever blocking. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
    char head[256];
    size_t head_length;
    uint64_t body_length; /* of zeros, sent after the head */
};

enum exchange_state {
    EXCHANGE_WAITS,  /* for the socket */
    EXCHANGE_DONE,   /* everything is sent, and the whole answer is here */
    EXCHANGE_FAILED, /* the connection has ended, or the answer is not 200 with its length */
};

struct exchange {
    int fd;                        /* -1: closed */
    const struct request *request; /* NULL: in no exchange */
    int role;                      /* the caller's own */
    uint64_t due_ns;               /* when it should have begun, by the monotonic clock */
    uint64_t first_byte_ns;        /* of the answer; 0: not yet */
    uint64_t sent;
    char head[1024]; /* of the answer, as far as it has come */
    size_t head_have;
    bool has_head;
    uint64_t body_wanted, body_have;
};

/* Nanoseconds of the monotonic clock. */
uint64_t exchange_now(void);

/* Makes `ret` a request for `path` with a body of `body_length` bytes (0: GET without a body),
 * after which the connection is kept or not. */
void exchange_request(struct request *ret, const char *path, uint64_t body_length, bool keep);

/* Begins to connect to a port of 127.0.0.1 and adds the socket to `epoll`, edge-triggered, with `x`
 * as its data. Returns 0, or -1 when there is no socket to be had. */
int exchange_open(struct exchange *x, int epoll, uint16_t port);

/* Begins an exchange on an open connection that is in none; exchange_go() moves it. */
void exchange_begin(struct exchange *x, const struct request *request, uint64_t due_ns);

/* Sends and receives what can be. To be called after exchange_begin() and at each event, also
 * between two exchanges, where it fails when the connection has ended. */
enum exchange_state exchange_go(struct exchange *x);

/* Closes the connection, if it is open; the struct may be opened again. */
void exchange_close(struct exchange *x);
