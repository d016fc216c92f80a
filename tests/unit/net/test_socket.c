#include "net/socket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void test_errors_of_connecting_have_their_reasons(void **state)
{
    static const struct {
        int error;
        enum reason reason;
    } cases[] = {
        {ECONNREFUSED, REASON_connect_refused}, {ETIMEDOUT, REASON_connect_timeout},
        {ENETUNREACH, REASON_unreachable},      {EHOSTUNREACH, REASON_unreachable},
        {EADDRNOTAVAIL, REASON_unreachable},    {EPERM, REASON_unreachable},
        {ECONNRESET, REASON_upstream_reset},    {EMFILE, REASON_limit_reached},
        {ENFILE, REASON_limit_reached},         {ENOMEM, REASON_internal},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure failure;
        socket_explain(cases[i].error, &failure);
        assert_int_equal(failure.reason, cases[i].reason);
        assert_true(failure.detail[0] != '\0');
    }
}

/* Both ends of a TCP connection, non-blocking. */
static void connect_pair(int pair[static 2])
{
    struct addr addr, caller;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
    assert_int_equal(bind(listener, &addr.sa, addr.len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, &addr.sa, &addr.len), 0);
    pair[0] = socket_connect(&addr);
    assert_true(pair[0] >= 0);
    pair[1] = socket_accept(listener, &caller);
    assert_true(pair[1] >= 0);
    close(listener);
}

static void test_full_buffer_would_block_and_is_counted(void **state)
{
    static const char block[65536];
    int pair[2];
    (void)state;
    connect_pair(pair);
    assert_int_equal(socket_error(pair[0]), 0);
    assert_int_equal(socket_unacknowledged(pair[0]), 0);
    while (socket_send(pair[0], block, sizeof(block)) > 0) {
    }
    assert_true(socket_would_block(errno));
    assert_true(socket_unacknowledged(pair[0]) > 0);
    assert_false(socket_is_gone(pair[0]));

    /* After a reset nothing is under way, whatever the kernel still counts. */
    socket_abort_on_close(pair[1]);
    close(pair[1]);
    assert_true(socket_is_gone(pair[0]));
    assert_int_equal(socket_unacknowledged(pair[0]), 0);
    close(pair[0]);
}

static void test_unix_sockets_take_nothing_back(void **state)
{
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(socket_send(pair[0], "x", 1), 1);
    assert_int_equal(socket_unacknowledged(pair[0]), 0);
    close(pair[1]);
    assert_false(socket_is_gone(pair[0]));
    assert_int_equal(socket_send(pair[0], "x", 1), -1); /* and no SIGPIPE */
    assert_int_equal(errno, EPIPE);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_of_connecting_have_their_reasons),
        cmocka_unit_test(test_full_buffer_would_block_and_is_counted),
        cmocka_unit_test(test_unix_sockets_take_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
