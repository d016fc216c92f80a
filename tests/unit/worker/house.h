/* What the tests of this room share: workers, the services that they serve, and callers. */
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "worker/worker.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "tests/unit/control/backend.h"

#define HOUSE_HANG_MS 30000 /* longer than anything takes that works */
#define HOUSE_MAX     4

/* Waits for another thread to have done something. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        uint64_t wait_end_ms = clock_ms() + HOUSE_HANG_MS;                                         \
        while (!(condition) && clock_ms() < wait_end_ms) {                                         \
            sched_yield();                                                                         \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

struct house {
    struct worker *workers[HOUSE_MAX];
    unsigned n;
    uint64_t pings;
    _Atomic(int) wakes;
};

static inline void count_wake(void *ctx)
{
    struct house *house = ctx;
    atomic_fetch_add(&house->wakes, 1);
}

static inline void open_house(struct house *house, unsigned n)
{
    const struct worker_watcher watcher = {.changed = count_wake, .ctx = house};
    *house = (struct house){.n = n};
    for (unsigned i = 0; i < n; i++) {
        house->workers[i] = worker_start(n, watcher);
        assert_non_null(house->workers[i]);
    }
}

static inline void stop_workers(struct house *house)
{
    for (unsigned i = 0; i < house->n; i++) {
        house->workers[i] = worker_stop(house->workers[i]);
    }
    house->n = 0;
}

/* Waits until the workers have read all their mail. */
static inline void settle(struct house *house)
{
    house->pings++;
    for (unsigned i = 0; i < house->n; i++) {
        worker_ping(house->workers[i]);
        wait_until(worker_turns(house->workers[i]) >= house->pings);
    }
}

/* Hands a change over to a house of one, and waits until it is carried out. */
static inline void carry_out(struct house *house, struct change *change)
{
    worker_change(house->workers[0], change);
    settle(house);
}

static inline struct change *begin_change(size_t n_slots)
{
    struct change *change = change_new(n_slots);
    assert_non_null(change);
    return change;
}

/* ---- services ---- */

static inline struct account *make_account(const char *name)
{
    struct account *account = account_new(name);
    assert_non_null(account);
    return account;
}

/* A service with patience, and room for many. */
static inline struct service *make_service(size_t id, struct account *account,
                                           struct identity *identity, struct trust *trust)
{
    const char *why;
    const struct profile_options options = {.identity = identity,
                                            .trust = trust,
                                            .tls_min = 12,
                                            .tls_max = 13};
    struct profile *profile = profile_new(&options, &why);
    assert_non_null(profile);
    struct service *service = service_new(id, profile, account);
    assert_non_null(service);
    profile_unref(profile);
    service->max_connections = 1000;
    service->connect_timeout_ms = HOUSE_HANG_MS;
    service->handshake_timeout_ms = HOUSE_HANG_MS;
    service->close_timeout_ms = HOUSE_HANG_MS;
    return service;
}

/* ---- places ---- */

/* A socket at a port that the kernel chose, on which nobody listens. */
static inline int bind_anywhere(struct addr *ret_addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(addr_parse_ip("127.0.0.1", 0, ret_addr), 0);
    assert_int_equal(bind(fd, &ret_addr->sa, ret_addr->len), 0);
    assert_int_equal(getsockname(fd, &ret_addr->sa, &ret_addr->len), 0);
    return fd;
}

static inline int open_socket(struct addr *ret_addr)
{
    int fd = bind_anywhere(ret_addr);
    assert_int_equal(listen(fd, 256), 0);
    return fd;
}

static inline struct endpoints *endpoints_at(const struct addr *addr)
{
    struct endpoints *endpoints = endpoints_new(1);
    const char *why;
    assert_non_null(endpoints);
    endpoints->list[0].addr = *addr;
    assert_int_equal(name_from_host(BACKEND_HOST, &endpoints->list[0].host, &why), 0);
    return endpoints;
}

/* Where nothing listens. */
static inline struct endpoints *endpoints_nowhere(void)
{
    struct addr addr;
    close(bind_anywhere(&addr));
    return endpoints_at(&addr);
}

/* Adds endpoints, whose reference it takes over. */
static inline void resolve(struct change *change, size_t id, struct endpoints *endpoints)
{
    assert_int_equal(change_resolve(change, id, endpoints), 0);
    endpoints_unref(endpoints);
}

/* ---- callers ---- */

static inline int call(const struct addr *addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &addr->sa, addr->len), 0);
    return fd;
}

/* Leaves with a reset, which a worker sees at once. */
static inline void leave(int fd)
{
    const struct linger abortive = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abortive, sizeof(abortive));
    close(fd);
}

/* Waits for the end of a connection that never got a byte. */
static inline void expect_reset(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
}

static inline void expect_ends(const struct account *account, enum reason reason, uint64_t n)
{
    wait_until(tally_count(account->connections, reason) >= n);
    assert_int_equal(tally_count(account->connections, reason), n);
}

/* ---- the process ---- */

static inline size_t count_fds(void)
{
    size_t n = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        n++;
    }
    closedir(folder);
    return n;
}

/* For the whole program: the log tells only what is wrong with the house itself. */
static inline int enter_quietly(void **state)
{
    signal(SIGPIPE, SIG_IGN); /* the backends' sockets are GnuTLS's own */
    log_configure(LEVEL_ERROR, LOG_TEXT);
    return make_pki(state);
}
