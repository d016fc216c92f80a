/* The workers are ours: the watchdog needs no more of them than a ping and a count. */
#include "base/addr.h"
#include "control/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define INTERVAL_MS 20

struct worker {
    uint64_t turns;
    bool is_stuck;
};

void worker_ping(struct worker *worker)
{
    worker->turns += !worker->is_stuck;
}

uint64_t worker_turns(const struct worker *worker)
{
    return worker->turns;
}

static struct {
    uv_loop_t loop;
    struct worker workers[2];
    struct worker *table[2];
    struct watchdog *watchdog;
    int manager;
} fixture;

static int set_up(void **state)
{
    (void)state;
    struct addr addr;
    char name[64];
    snprintf(name, sizeof(name), "@test_watchdog-%d", getpid());
    addr_from_path(name, &addr);
    addr.un.sun_path[0] = '\0';
    addr.len--;
    fixture.manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return bind(fixture.manager, &addr.sa, addr.len);
}

static int tear_down(void **state)
{
    (void)state;
    return close(fixture.manager);
}

static void on_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Lets the loop run for `ms` and counts the signs of life. */
static unsigned signs_within(unsigned ms)
{
    uv_timer_t timer;
    uv_timer_init(&fixture.loop, &timer);
    uv_timer_start(&timer, on_timer, ms, 0);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&fixture.loop, UV_RUN_NOWAIT);

    char text[64];
    unsigned n = 0;
    while (recv(fixture.manager, text, sizeof(text), 0) > 0) {
        n++;
    }
    return n;
}

static void a_worker_that_is_stuck_ends_the_signs_of_life(void **state)
{
    (void)state;
    uv_loop_init(&fixture.loop);
    fixture.table[0] = &fixture.workers[0];
    fixture.table[1] = &fixture.workers[1];
    fixture.watchdog = watchdog_start(&fixture.loop, fixture.table, 2, INTERVAL_MS);
    assert_non_null(fixture.watchdog);
    assert_true(signs_within(10 * INTERVAL_MS) >= 4);

    /* It answered the last ping before it got stuck: one more sign is right. */
    fixture.workers[1].is_stuck = true;
    assert_in_range(signs_within(10 * INTERVAL_MS), 0, 1);
    assert_int_equal(signs_within(10 * INTERVAL_MS), 0);

    /* It turns again, late. */
    fixture.workers[1].is_stuck = false;
    fixture.workers[1].turns++;
    assert_true(signs_within(10 * INTERVAL_MS) >= 4);

    assert_null(watchdog_stop(fixture.watchdog));
    assert_null(watchdog_stop(NULL));
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_is_stuck_ends_the_signs_of_life),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
