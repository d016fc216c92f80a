/* The order in which what is for the backend leaves: what was held, what is unsent, and what comes.
 */
#include "net/socket.h"
#include "worker/upstream.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define UNSENT_MAX  ((size_t)1 << 20)
#define BUFFER_SIZE 4096 /* of the kernel, or what it makes of it */

struct rig {
    uv_loop_t loop;
    struct upstream upstream;
    struct buf flight;
    int peer;
    char heard[UNSENT_MAX];
    size_t n_heard;
};

static void on_ready(void *ctx, unsigned events)
{
    (void)ctx, (void)events;
}

static int open_rig(void **state)
{
    int fds[2], size = BUFFER_SIZE;
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    rig->peer = fds[1];
    rig->upstream.watch = watch_open(&rig->loop, fds[0], on_ready, NULL);
    assert_non_null(rig->upstream.watch);
    buf_init(&rig->upstream.unsent, UNSENT_MAX);
    buf_init(&rig->flight, UNSENT_MAX);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    upstream_close(&rig->upstream, false);
    buf_release(&rig->flight);
    if (rig->peer >= 0) {
        close(rig->peer);
    }
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    free(rig);
    return 0;
}

static struct buf *flight_of(struct rig *rig, const char *text)
{
    assert_int_equal(buf_append(&rig->flight, text, strlen(text)), 0);
    return &rig->flight;
}

static int send_text(struct rig *rig, const char *text)
{
    int rc = upstream_send(&rig->upstream, flight_of(rig, text));
    assert_int_equal(buf_len(&rig->flight), 0);
    return rc;
}

static int hold_text(struct rig *rig, const char *text)
{
    int rc = upstream_hold(&rig->upstream, flight_of(rig, text));
    assert_int_equal(buf_len(&rig->flight), 0);
    return rc;
}

/* All that has arrived since the last time. */
static void expect(struct rig *rig, const char *text)
{
    ssize_t n = recv(rig->peer, rig->heard, sizeof(rig->heard) - 1, 0);
    rig->heard[n > 0 ? n : 0] = '\0';
    assert_string_equal(rig->heard, text);
}

static void test_what_is_sent_leaves_at_once(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(send_text(rig, "one"), 0);
    expect(rig, "one");
    assert_false(upstream_is_blocked(&rig->upstream));
    assert_int_equal(send_text(rig, ""), 0);
    expect(rig, "");
}

static void test_what_is_held_waits_for_what_comes(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(hold_text(rig, "one "), 0);
    expect(rig, "");
    assert_true(rig->upstream.is_held);
    assert_false(upstream_is_blocked(&rig->upstream)); /* nobody has been asked */
    assert_int_equal(send_text(rig, "two"), 0);
    expect(rig, "one two");
    assert_false(rig->upstream.is_held);
    assert_int_equal(buf_len(&rig->upstream.unsent), 0);
    assert_int_equal(send_text(rig, "three"), 0);
    expect(rig, "three");
}

static void test_what_is_held_leaves_alone_when_it_is_flushed(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(hold_text(rig, "one"), 0);
    assert_int_equal(upstream_flush(&rig->upstream), 0);
    expect(rig, "one");
    assert_int_equal(upstream_flush(&rig->upstream), 0);
    expect(rig, "");
}

static void test_holding_nothing(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(hold_text(rig, ""), 0);
    assert_false(rig->upstream.is_held);
    assert_int_equal(send_text(rig, "one"), 0);
    expect(rig, "one");
}

static void test_what_is_held_twice_keeps_its_order(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(hold_text(rig, "one "), 0);
    assert_int_equal(hold_text(rig, "two "), 0);
    assert_int_equal(send_text(rig, "three"), 0);
    expect(rig, "one two three");
}

/* Sending an empty flight takes along what is held. */
static void test_nothing_takes_along_what_is_held(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(hold_text(rig, "one"), 0);
    assert_int_equal(send_text(rig, ""), 0);
    expect(rig, "one");
}

static void fill(struct buf *buf, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        char byte = (char)('a' + i % 26);
        assert_int_equal(buf_append(buf, &byte, 1), 0);
    }
}

/* Checks that all that was filled in arrives, in its order. */
static void drain(struct rig *rig, size_t total)
{
    while (rig->n_heard < total) {
        ssize_t n = recv(rig->peer, rig->heard, sizeof(rig->heard), 0);
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(rig->heard[i], 'a' + (int)((rig->n_heard + (size_t)i) % 26));
        }
        rig->n_heard += n > 0 ? (size_t)n : 0;
        assert_int_equal(upstream_flush(&rig->upstream), 0);
    }
    assert_int_equal(rig->n_heard, total);
    assert_false(upstream_is_blocked(&rig->upstream));
}

static void test_what_the_kernel_does_not_take_is_kept_in_order(void **state)
{
    struct rig *rig = *state;
    size_t total = 0;
    for (size_t i = 0; i < 50; i++) {
        fill(&rig->flight, total, 1000 + i);
        total += 1000 + i;
        assert_int_equal(upstream_send(&rig->upstream, &rig->flight), 0);
        assert_int_equal(buf_len(&rig->flight), 0);
    }
    assert_true(upstream_is_blocked(&rig->upstream));
    drain(rig, total);
}

static void test_what_is_held_and_does_not_fit_is_kept_in_order(void **state)
{
    struct rig *rig = *state;
    fill(&rig->flight, 0, 30000);
    assert_int_equal(upstream_hold(&rig->upstream, &rig->flight), 0);
    fill(&rig->flight, 30000, 30000);
    assert_int_equal(upstream_send(&rig->upstream, &rig->flight), 0);
    assert_true(upstream_is_blocked(&rig->upstream));
    fill(&rig->flight, 60000, 10);
    assert_int_equal(upstream_send(&rig->upstream, &rig->flight), 0);
    drain(rig, 60010);
}

static void test_a_backend_that_is_gone(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(hold_text(rig, "one"), 0);
    close(rig->peer);
    rig->peer = -1;
    assert_int_equal(send_text(rig, "two"), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(upstream_flush(&rig->upstream), -1);
    assert_int_equal(errno, EPIPE);
}

static void test_more_than_may_be_kept(void **state)
{
    struct rig *rig = *state;
    fill(&rig->flight, 0, UNSENT_MAX);
    assert_int_equal(upstream_hold(&rig->upstream, &rig->flight), 0);
    assert_int_equal(send_text(rig, "x"), -1);
    assert_int_equal(errno, ENOMEM);
}

static void test_closing_what_was_never_open(void **state)
{
    (void)state;
    struct upstream upstream = {0};
    upstream_close(&upstream, false);
    upstream_close(&upstream, true);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_sent_leaves_at_once),
        TEST(test_what_is_held_waits_for_what_comes),
        TEST(test_what_is_held_leaves_alone_when_it_is_flushed),
        TEST(test_holding_nothing),
        TEST(test_what_is_held_twice_keeps_its_order),
        TEST(test_nothing_takes_along_what_is_held),
        TEST(test_what_the_kernel_does_not_take_is_kept_in_order),
        TEST(test_what_is_held_and_does_not_fit_is_kept_in_order),
        TEST(test_a_backend_that_is_gone),
        TEST(test_more_than_may_be_kept),
        cmocka_unit_test(test_closing_what_was_never_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
