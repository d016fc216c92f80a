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

static const struct listener_access ours = {(uid_t)-1, (gid_t)-1, 0600};

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
    const struct listener_access access = {(uid_t)-1, (gid_t)-1, 0620};
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
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
