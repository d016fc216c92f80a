#include "net/listener.h"
#include "net/socket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define N 3

static const struct listener_access ours = {.user = (uid_t)-1, .group = (gid_t)-1, .mode = 0600};

static const struct listener_access shared = {
    .user = (uid_t)-1,
    .group = (gid_t)-1,
    .mode = 0600,
    .is_shared = true,
};

static int enter(void **state)
{
    static char directory[] = "/tmp/mtls-agent-net-XXXXXX";
    *state = mkdtemp(directory);
    return *state != NULL ? chdir(*state) : -1;
}

static int leave(void **state)
{
    return chdir("/") == 0 && rmdir(*state) == 0 ? 0 : -1;
}

static void close_all(const int *fds)
{
    for (size_t i = 0; i < N; i++) {
        close(fds[i]);
    }
}

/* An address with a port that the kernel chose. */
static struct addr free_address(const char *ip)
{
    struct addr addr;
    assert_int_equal(addr_parse_ip(ip, 0, &addr), 0);
    int fd = socket(addr.sa.sa_family, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    close(fd);
    return addr;
}

static int dial(const struct addr *addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &addr->sa, addr->len) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void test_tcp_has_one_socket_each(void **state)
{
    static const char *const ips[] = {"127.0.0.1", "::1"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct addr addr = free_address(ips[i]);
        int fds[N];
        assert_int_equal(listener_open(&addr, &ours, fds, N), 0);
        int caller = dial(&addr);
        assert_true(caller >= 0);
        close(caller);
        close_all(fds);
        assert_int_equal(dial(&addr), -1);
    }
}

static void test_busy_port_is_refused(void **state)
{
    (void)state;
    struct addr addr = free_address("127.0.0.1");
    int taken = socket(AF_INET, SOCK_STREAM, 0), fds[N];
    assert_int_equal(bind(taken, &addr.sa, addr.len), 0);
    assert_int_equal(listen(taken, 1), 0);
    assert_int_equal(listener_open(&addr, &ours, fds, N), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(taken);
}

static void test_port_of_another_agent_is_not_shared(void **state)
{
    (void)state;
    struct addr addr = free_address("127.0.0.1");
    int fds[N], others[N];
    assert_int_equal(listener_open(&addr, &ours, fds, N), 0);
    assert_int_equal(listener_open(&addr, &ours, others, N), -1);
    assert_int_equal(errno, EADDRINUSE);
    close_all(fds);
    assert_int_equal(listener_open(&addr, &ours, others, N), 0);
    close_all(others);
}

static void test_unix_socket_has_its_mode_at_once(void **state)
{
    const struct listener_access access = {.user = (uid_t)-1, .group = (gid_t)-1, .mode = 0620};
    struct addr addr;
    struct stat status;
    struct listener_file file;
    int fds[N];
    (void)state;
    assert_int_equal(addr_from_path("a.sock", &addr), 0);
    assert_int_equal(listener_open(&addr, &access, fds, N), 0);
    assert_int_equal(stat("a.sock", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0620);

    int caller = dial(&addr);
    assert_true(caller >= 0);
    struct addr from;
    int accepted = socket_accept(fds[N - 1], &from);
    assert_true(accepted >= 0);
    char text[ADDR_TEXT_MAX];
    assert_string_equal(addr_format(&from, text), "unix:");

    assert_int_equal(listener_remember(&addr, &file), 0);
    listener_unlink(&file);
    assert_int_equal(stat("a.sock", &status), -1);
    close(accepted);
    close(caller);
    close_all(fds);
}

static void test_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct addr addr;
    int fds[N], others[N];
    struct listener_file first, second;
    struct stat status;
    (void)state;
    assert_int_equal(addr_from_path("b.sock", &addr), 0);
    assert_int_equal(listener_open(&addr, &ours, fds, N), 0);
    assert_int_equal(listener_remember(&addr, &first), 0);
    assert_int_equal(listener_open(&addr, &ours, others, N), -1);
    assert_int_equal(errno, EADDRINUSE);
    close_all(fds);

    assert_int_equal(listener_open(&addr, &ours, others, N), 0);
    listener_unlink(&first); /* not ours any more */
    assert_int_equal(stat("b.sock", &status), 0);
    assert_int_equal(listener_remember(&addr, &second), 0);
    listener_unlink(&second);
    assert_int_equal(stat("b.sock", &status), -1);
    close_all(others);
}

static void test_what_is_no_socket_is_left_alone(void **state)
{
    struct addr addr;
    int fds[N];
    (void)state;
    FILE *file = fopen("c.sock", "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(addr_from_path("c.sock", &addr), 0);
    assert_int_equal(listener_open(&addr, &ours, fds, N), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(unlink("c.sock"), 0);
}

static void test_longest_path_can_be_opened(void **state)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct addr addr;
    struct listener_file file;
    int fds[N];
    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(addr_from_path(path, &addr), 0);
    assert_int_equal(listener_open(&addr, &ours, fds, N), 0);
    int caller = dial(&addr);
    assert_true(caller >= 0);
    assert_int_equal(listener_remember(&addr, &file), 0);
    listener_unlink(&file);
    close(caller);
    close_all(fds);
}

static void test_shared_port_is_shared_only_with_who_shares(void **state)
{
    (void)state;
    struct addr addr = free_address("127.0.0.1");
    int older[N], newer[N], alone = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(listener_open(&addr, &ours, older, N), 0);
    assert_int_equal(listener_open(&addr, &shared, newer, N), 0);
    close_all(older);
    int caller = dial(&addr);
    assert_true(caller >= 0);
    close(caller);
    close_all(newer);

    assert_int_equal(bind(alone, &addr.sa, addr.len), 0);
    assert_int_equal(listen(alone, 1), 0);
    assert_int_equal(listener_open(&addr, &shared, newer, N), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(alone);
}

static void test_shared_unix_socket_takes_the_place_of_a_live_one(void **state)
{
    struct addr addr, from;
    struct listener_file first, second;
    struct stat status;
    int older[N], newer[N];
    (void)state;
    assert_int_equal(addr_from_path("d.sock", &addr), 0);
    assert_int_equal(listener_open(&addr, &ours, older, N), 0);
    assert_int_equal(listener_remember(&addr, &first), 0);
    int early = dial(&addr);
    assert_int_equal(listener_open(&addr, &shared, newer, N), 0);
    assert_int_equal(listener_remember(&addr, &second), 0);
    int late = dial(&addr);

    int accepted = socket_accept(older[0], &from);
    assert_true(early >= 0 && late >= 0 && accepted >= 0);
    assert_int_equal(socket_accept(older[0], &from), -1);
    close(accepted);
    accepted = socket_accept(newer[0], &from);
    assert_true(accepted >= 0);
    close(accepted);

    listener_unlink(&first); /* the older one ends, and leaves the newer one's file alone */
    assert_int_equal(stat("d.sock", &status), 0);
    listener_unlink(&second);
    assert_int_equal(stat("d.sock", &status), -1);
    close(early);
    close(late);
    close_all(older);
    close_all(newer);
}

static void test_what_is_held_disturbs_nobody_until_it_is_shown(void **state)
{
    static const struct listener_access held = {
        .user = (uid_t)-1,
        .group = (gid_t)-1,
        .mode = 0600,
        .is_shared = true,
        .is_held = true,
    };
    struct addr addrs[2] = {free_address("127.0.0.1")}, from;
    (void)state;
    assert_int_equal(addr_from_path("e.sock", &addrs[1]), 0);
    for (size_t i = 0; i < 2; i++) {
        int older[N], newer[N];
        assert_int_equal(listener_open(&addrs[i], &ours, older, N), 0);
        for (unsigned turn = 0; turn < 2; turn++) {
            assert_int_equal(listener_open(&addrs[i], &held, newer, N), 0);
            int caller = dial(&addrs[i]), n = 0;
            for (size_t k = 0; k < N; k++) {
                int accepted = socket_accept(older[k], &from);
                n += accepted >= 0;
                close(accepted);
            }
            close(caller);
            assert_int_equal(n, 1); /* nobody else had the caller */
            if (turn == 0) {
                listener_discard(&addrs[i]);
                close_all(newer);
            }
        }
        assert_int_equal(listener_show(&addrs[i], newer, N), 0);
        close_all(older);
        int caller = dial(&addrs[i]);
        assert_true(caller >= 0);
        close(caller);
        close_all(newer);
    }
    assert_int_equal(unlink("e.sock"), 0); /* and nothing else is left in the directory */
}

#define CALLERS 64

/* How many of as many callers these sockets get; the others are left waiting elsewhere. */
static unsigned callers_of(const int *fds, const struct addr *addr)
{
    int callers[CALLERS];
    unsigned n = 0;
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = dial(addr);
        assert_true(callers[i] >= 0);
    }
    for (unsigned i = 0; i < N; i++) {
        struct addr from;
        for (int fd = socket_accept(fds[i], &from); fd >= 0; fd = socket_accept(fds[i], &from)) {
            n++;
            close(fd);
        }
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        close(callers[i]);
    }
    return n;
}

static void test_who_yields_gets_no_new_callers(void **state)
{
    (void)state;
    struct addr addr = free_address("127.0.0.1");
    int older[N], newer[N], newest[N];
    assert_int_equal(listener_open(&addr, &ours, older, N), 0);
    listener_yield(older[0], N); /* to nobody */
    assert_int_equal(callers_of(older, &addr), CALLERS);

    assert_int_equal(listener_open(&addr, &shared, newer, N), 0);
    assert_in_range(callers_of(older, &addr), 1, CALLERS - 1);
    (void)callers_of(newer, &addr); /* takes in who waited */
    (void)callers_of(older, &addr);
    listener_yield(older[0], N);
    assert_int_equal(callers_of(older, &addr), 0);
    for (unsigned i = 0; i < N; i++) {
        close(older[i]);
        assert_in_range(callers_of(newer, &addr), CALLERS, (N + 1) * CALLERS);
    }

    /* What it has begun does not outlive it, neither for who comes next nor when it is ended. */
    assert_int_equal(listener_open(&addr, &shared, newest, N), 0);
    assert_in_range(callers_of(newer, &addr), 1, CALLERS - 1);
    (void)callers_of(newest, &addr);
    (void)callers_of(newer, &addr);
    listener_yield(newer[0], N);
    assert_int_equal(callers_of(newer, &addr), 0);
    listener_gather(newest[0]);
    assert_in_range(callers_of(newer, &addr), 1, CALLERS - 1);
    close_all(newer);
    close_all(newest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_has_one_socket_each),
        cmocka_unit_test(test_busy_port_is_refused),
        cmocka_unit_test(test_port_of_another_agent_is_not_shared),
        cmocka_unit_test(test_unix_socket_has_its_mode_at_once),
        cmocka_unit_test(test_stale_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(test_what_is_no_socket_is_left_alone),
        cmocka_unit_test(test_longest_path_can_be_opened),
        cmocka_unit_test(test_shared_port_is_shared_only_with_who_shares),
        cmocka_unit_test(test_shared_unix_socket_takes_the_place_of_a_live_one),
        cmocka_unit_test(test_what_is_held_disturbs_nobody_until_it_is_shown),
        cmocka_unit_test(test_who_yields_gets_no_new_callers),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
