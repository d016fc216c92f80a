#include "base/addr.h"
#include "control/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A manager that listens at `name`, which NOTIFY_SOCKET then is. */
static int manager(const char *name)
{
    struct addr addr;
    assert_int_equal(addr_from_path(name, &addr), 0);
    if (name[0] == '@') {
        addr.un.sun_path[0] = '\0';
        addr.len--;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void assert_told(int fd, const char *expected)
{
    char text[256];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

/* Runs `tell` in a process of its own, for what is opened stays open. */
static void in_child(void (*tell)(void))
{
    pid_t child = fork();
    if (child == 0) {
        tell();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void tell_all(void)
{
    notify_ready("Serving 3 services");
    notify_alive();
    notify_stopping();
}

static void a_manager_is_told_by_path_or_abstract_name(void **state)
{
    (void)state;
    char path[64], abstract[64];
    snprintf(path, sizeof(path), "/tmp/test_notify-%d", getpid());
    snprintf(abstract, sizeof(abstract), "@test_notify-%d", getpid());
    const char *names[] = {path, abstract};
    for (size_t i = 0; i < 2; i++) {
        int fd = manager(names[i]);
        in_child(tell_all);
        assert_told(fd, "READY=1\nSTATUS=Serving 3 services");
        assert_told(fd, "WATCHDOG=1");
        assert_told(fd, "STOPPING=1");
        close(fd);
    }
    unlink(path);
}

static void reload(void)
{
    notify_reloading();
    notify_ready("Serving 4 services");
}

static uint64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void a_reload_tells_when_it_began(void **state)
{
    (void)state;
    char name[64], text[256];
    snprintf(name, sizeof(name), "@test_notify-%d", getpid());
    int fd = manager(name);
    uint64_t before = monotonic_us(), told = 0;
    in_child(reload);
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &told), 1);
    assert_in_range(told, before, monotonic_us());
    assert_told(fd, "READY=1\nSTATUS=Serving 4 services");
    close(fd);
}

static void tell_without_descriptors(void)
{
    notify_ready("");
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &none);
    notify_alive();
}

static void running_out_of_descriptors_does_not_silence_it(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof(name), "@test_notify-%d", getpid());
    int fd = manager(name);
    in_child(tell_without_descriptors);
    assert_told(fd, "READY=1\nSTATUS=");
    assert_told(fd, "WATCHDOG=1");
    close(fd);
}

static void flood(void)
{
    for (unsigned i = 0; i < 10000; i++) {
        notify_alive();
    }
}

static void a_manager_that_does_not_read_holds_up_no_sign_of_life(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof(name), "@test_notify-%d", getpid());
    int fd = manager(name);
    in_child(flood);
    close(fd);
}

static void without_a_manager_nothing_happens(void **state)
{
    (void)state;
    static const char *const names[] = {"", "relative", "vsock:2:1", "/nonexistent/socket"};
    unsetenv("NOTIFY_SOCKET");
    in_child(tell_all);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        in_child(tell_all);
    }
}

static void the_watchdog_s_interval_is_read(void **state)
{
    (void)state;
    char ours[32];
    snprintf(ours, sizeof(ours), "%d", getpid());
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(notify_watchdog_ms(), 30000);
    setenv("WATCHDOG_PID", ours, 1);
    assert_int_equal(notify_watchdog_ms(), 30000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog_ms(), 0);
    setenv("WATCHDOG_PID", ours, 1);
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(notify_watchdog_ms(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manager_is_told_by_path_or_abstract_name),
        cmocka_unit_test(a_reload_tells_when_it_began),
        cmocka_unit_test(running_out_of_descriptors_does_not_silence_it),
        cmocka_unit_test(a_manager_that_does_not_read_holds_up_no_sign_of_life),
        cmocka_unit_test(without_a_manager_nothing_happens),
        cmocka_unit_test(the_watchdog_s_interval_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
