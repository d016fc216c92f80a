/* What is handed over belongs to the process: each test is one of its own. */
#include "net/activation.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FIRST 3

static int tcp_listener(void)
{
    struct addr addr;
    addr_parse_ip("127.0.0.1", 0, &addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return bind(fd, &addr.sa, addr.len) < 0 || listen(fd, 1) < 0 ? -1 : fd;
}

static int unix_listener(void)
{
    struct sockaddr_un any = {.sun_family = AF_UNIX}; /* the kernel finds an abstract name */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t)) < 0 || listen(fd, 1) < 0 ? -1
                                                                                           : fd;
}

/* Leaves these open as the descriptors from FIRST on, and nothing else. */
static void hand_over(const int *fds, unsigned n, const char *names)
{
    char text[16];
    for (unsigned i = 0; i < n; i++) {
        dup2(fds[i], 100 + (int)i);
    }
    for (int fd = FIRST; fd < 100; fd++) {
        close(fd);
    }
    for (unsigned i = 0; i < n; i++) {
        dup2(100 + (int)i, FIRST + (int)i);
        close(100 + (int)i);
    }
    snprintf(text, sizeof(text), "%u", n);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof(text), "%d", getpid());
    setenv("LISTEN_PID", text, 1);
    if (names != NULL) {
        setenv("LISTEN_FDNAMES", names, 1);
    } else {
        unsetenv("LISTEN_FDNAMES");
    }
}

/* Runs `check`, which says whether all was right, in a process of its own. */
static void in_child(bool (*check)(void))
{
    pid_t child = fork();
    if (child == 0) {
        _exit(check() ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool is(const char *text, const char *expected)
{
    return text != NULL && strcmp(text, expected) == 0;
}

static bool takes_three_by_two_names(void)
{
    int fds[] = {tcp_listener(), unix_listener(), tcp_listener()}, found[2] = {-1, -1};
    const char *why = NULL;
    hand_over(fds, 3, "orders:local:orders");
    bool is_taken = activation_take(&why) == 0 && is(activation_name(0), "orders") &&
                    is(activation_name(1), "local") && is(activation_name(2), "orders") &&
                    activation_name(3) == NULL;
    bool is_found = activation_find("orders", found, 1) == 2 && found[0] == FIRST &&
                    found[1] == -1 && activation_find("orders", found, 2) == 2 &&
                    found[1] == FIRST + 2 && activation_find("local", found, 2) == 1 &&
                    found[0] == FIRST + 1 && activation_find("other", found, 2) == 0;
    return is_taken && is_found;
}

static void sockets_are_found_by_name(void **state)
{
    (void)state;
    in_child(takes_three_by_two_names);
}

static bool takes_one_and_leaves_no_trace(void)
{
    int fd = tcp_listener();
    const char *why = NULL;
    hand_over(&fd, 1, "orders");
    bool is_taken = activation_take(&why) == 0;
    return is_taken && getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL &&
           getenv("LISTEN_FDNAMES") == NULL && fcntl(FIRST, F_GETFD) & FD_CLOEXEC &&
           fcntl(FIRST, F_GETFL) & O_NONBLOCK;
}

static void children_inherit_nothing(void **state)
{
    (void)state;
    in_child(takes_one_and_leaves_no_trace);
}

static bool takes_what_has_no_name(void)
{
    int fds[] = {tcp_listener(), tcp_listener()};
    const char *why = NULL;
    hand_over(fds, 2, NULL);
    return activation_take(&why) == 0 && is(activation_name(0), "unknown") &&
           is(activation_name(1), "unknown");
}

static bool takes_what_has_too_few_names(void)
{
    int fds[] = {tcp_listener(), tcp_listener()};
    const char *why = NULL;
    hand_over(fds, 2, "one");
    return activation_take(&why) == 0 && is(activation_name(0), "one") &&
           is(activation_name(1), "unknown");
}

static void names_may_be_missing(void **state)
{
    (void)state;
    in_child(takes_what_has_no_name);
    in_child(takes_what_has_too_few_names);
}

static bool ignores_those_of_another_process(void)
{
    int fd = tcp_listener();
    const char *why = NULL;
    hand_over(&fd, 1, "orders");
    setenv("LISTEN_PID", "1", 1);
    return activation_take(&why) == 0 && activation_name(0) == NULL && getenv("LISTEN_FDS") == NULL;
}

static bool ignores_nothing_at_all(void)
{
    const char *why = NULL;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    return activation_take(&why) == 0 && activation_name(0) == NULL;
}

static void what_is_meant_for_others_is_left_alone(void **state)
{
    (void)state;
    in_child(ignores_those_of_another_process);
    in_child(ignores_nothing_at_all);
}

static bool refuses_a_promise_that_is_not_kept(void)
{
    int fd = tcp_listener();
    const char *why = NULL;
    hand_over(&fd, 1, "orders");
    setenv("LISTEN_FDS", "2", 1);
    return activation_take(&why) == -1 && why != NULL && strstr(why, "LISTEN_FDS") != NULL;
}

static bool refuses_a_number_that_is_none(void)
{
    int fd = tcp_listener();
    const char *why = NULL;
    hand_over(&fd, 1, "orders");
    setenv("LISTEN_FDS", "one", 1);
    return activation_take(&why) == -1 && why != NULL && strstr(why, "LISTEN_FDS") != NULL;
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    in_child(refuses_a_promise_that_is_not_kept);
    in_child(refuses_a_number_that_is_none);
}

static void assert_refused(int fd, const char *expected)
{
    struct addr addr;
    const char *why = NULL;
    assert_int_equal(activation_inspect(fd, &addr, &why), -1);
    assert_non_null(strstr(why, expected));
    close(fd);
}

static void it_has_to_listen_for_streams(void **state)
{
    struct addr addr;
    const char *why;
    (void)state;
    int tcp = tcp_listener(), local = unix_listener();
    assert_int_equal(activation_inspect(tcp, &addr, &why), 0);
    assert_true(addr_is_loopback(&addr) && addr_port(&addr) != 0);
    assert_int_equal(activation_inspect(local, &addr, &why), 0);
    assert_int_equal(addr.sa.sa_family, AF_UNIX);
    close(tcp);
    close(local);

    assert_refused(open("/dev/null", O_RDONLY), "no socket");
    assert_refused(socket(AF_INET, SOCK_DGRAM, 0), "ListenStream=");
    assert_refused(socket(AF_INET, SOCK_STREAM, 0), "does not listen");
    assert_refused(-1, strerror(EBADF));
}

static void duplicates_are_closed_alone(void **state)
{
    int fds[3];
    struct addr addr, same;
    const char *why;
    (void)state;
    int held = tcp_listener();
    assert_int_equal(activation_inspect(held, &addr, &why), 0);
    assert_int_equal(listener_duplicate(held, fds, 3), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(activation_inspect(fds[i], &same, &why), 0);
        assert_true(addr_equal(&addr, &same));
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        close(fds[i]);
    }
    assert_int_equal(activation_inspect(held, &same, &why), 0);
    close(held);
    assert_int_equal(listener_duplicate(held, fds, 3), -1);
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_found_by_name),
        cmocka_unit_test(children_inherit_nothing),
        cmocka_unit_test(names_may_be_missing),
        cmocka_unit_test(what_is_meant_for_others_is_left_alone),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(it_has_to_listen_for_streams),
        cmocka_unit_test(duplicates_are_closed_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
