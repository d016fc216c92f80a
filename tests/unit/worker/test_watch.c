/* Watches in a loop of libuv's own and in one that watch_run_loop() runs: what is told and when,
 * and that nothing is told of what was closed, whoever closed it and whatever had come for it. */
#include "base/clock.h"
#include "net/socket.h"
#include "worker/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ENDS_MAX 600
#define HANG_MS  30000 /* longer than anything takes that works */

/* One end of a pair of sockets that is watched; the other is the test's. */
struct end {
    struct rig *rig;
    struct watch *watch;
    int peer;
    unsigned n_told, told; /* how often, and the last events */
    void (*then)(struct end *end);
};

struct rig {
    uv_loop_t loop;
    bool drives; /* watch_run_loop() runs it */
    struct end ends[ENDS_MAX];
    size_t n;
    uv_timer_t hang, timer, keeper;
    uv_idle_t idle;
    unsigned n_turns, n_told, n_still;
};

static void on_ready(void *ctx, unsigned events)
{
    struct end *end = ctx;
    end->n_told++;
    end->told = events;
    assert_non_null(end->watch);
    if (end->then != NULL) {
        end->then(end);
    }
}

static struct end *open_end(struct rig *rig, unsigned events)
{
    int fds[2];
    struct end *end = &rig->ends[rig->n++];
    assert_true(rig->n <= ENDS_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *end = (struct end){.rig = rig, .peer = fds[1]};
    end->watch = watch_open(&rig->loop, fds[0], on_ready, end);
    assert_non_null(end->watch);
    assert_int_equal(watch_fd(end->watch), fds[0]);
    watch_want(end->watch, events);
    return end;
}

static void close_end(struct end *end)
{
    end->watch = watch_close(end->watch);
    if (end->peer > 0) {
        close(end->peer);
        end->peer = -1;
    }
}

static void close_watch(struct end *end)
{
    end->watch = watch_close(end->watch);
}

static void say(const struct end *end)
{
    assert_int_equal(write(end->peer, "x", 1), 1);
}

static void hear(const struct end *end)
{
    char byte;
    assert_int_equal(read(watch_fd(end->watch), &byte, 1), 1);
}

static void quiet(struct end *end)
{
    watch_want(end->watch, 0);
}

static void hear_and_quiet(struct end *end)
{
    hear(end);
    quiet(end);
}

static void on_hang(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop waits for nothing");
}

static void close_all(struct end *end)
{
    struct rig *rig = end->rig;
    for (size_t i = 0; i < rig->n; i++) {
        close_end(&rig->ends[i]);
    }
}

/* Closes all when two turns have told nothing. */
static void on_keeper(uv_timer_t *keeper)
{
    struct rig *rig = keeper->data;
    unsigned n_told = rig->n_turns;
    for (size_t i = 0; i < rig->n; i++) {
        n_told += rig->ends[i].n_told;
    }
    rig->n_still = n_told == rig->n_told ? rig->n_still + 1 : 0;
    rig->n_told = n_told;
    if (rig->n_still == 2 && !uv_is_active((uv_handle_t *)&rig->timer)) {
        uv_timer_stop(keeper);
        close_all(&rig->ends[0]);
    }
}

static void run_alone(struct rig *rig)
{
    if (rig->drives) {
        watch_run_loop(&rig->loop);
        assert_int_equal(watch_prepare_loop(&rig->loop), 0);
    } else {
        uv_run(&rig->loop, UV_RUN_DEFAULT);
    }
}

/* Runs until nothing is wanted. A worker's loop outlives its watches, so it is kept until then. */
static void run(struct rig *rig)
{
    uv_timer_start(&rig->hang, on_hang, HANG_MS, 0);
    uv_unref((uv_handle_t *)&rig->hang);
    if (rig->drives) {
        rig->n_still = 0;
        uv_timer_start(&rig->keeper, on_keeper, 1, 1);
    }
    run_alone(rig);
    uv_timer_stop(&rig->hang);
}

static int open_rig(void **state, bool drives)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->drives = drives;
    rig->ends[0].rig = rig;
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->hang);
    uv_timer_init(&rig->loop, &rig->timer);
    uv_timer_init(&rig->loop, &rig->keeper);
    uv_idle_init(&rig->loop, &rig->idle);
    rig->timer.data = rig->keeper.data = rig->idle.data = rig;
    *state = rig;
    return drives ? watch_prepare_loop(&rig->loop) : 0;
}

static int open_plain(void **state)
{
    return open_rig(state, false);
}

static int open_driven(void **state)
{
    return open_rig(state, true);
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    close_all(&rig->ends[0]);
    uv_close((uv_handle_t *)&rig->hang, NULL);
    uv_close((uv_handle_t *)&rig->timer, NULL);
    uv_close((uv_handle_t *)&rig->keeper, NULL);
    uv_close((uv_handle_t *)&rig->idle, NULL);
    if (rig->drives) {
        watch_run_loop(&rig->loop);
    } else {
        uv_run(&rig->loop, UV_RUN_DEFAULT);
    }
    assert_null(rig->loop.data); /* the set went with its last watch */
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    free(rig);
    return 0;
}

/* ---- what is told ---- */

static void test_a_loop_without_watches_ends(void **state)
{
    run(*state);
}

static void test_what_can_be_read_is_told(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ), *other = open_end(rig, 0);
    end->then = hear_and_quiet;
    say(end);
    say(other);
    run(rig);
    assert_int_equal(end->n_told, 1);
    assert_int_equal(end->told, WATCH_READ);
    assert_int_equal(other->n_told, 0);
    close_end(end);
    close_end(other);
}

static void quiet_after_five(struct end *end)
{
    if (end->n_told == 5) {
        quiet(end);
    }
}

static void test_what_was_not_read_is_told_again(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ);
    end->then = quiet_after_five;
    say(end);
    run(rig);
    assert_int_equal(end->n_told, 5);
    close_end(end);
}

static void test_all_that_is_wanted_is_told_at_once(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ | WATCH_WRITE);
    end->then = quiet;
    say(end);
    run(rig);
    assert_int_equal(end->n_told, 1);
    assert_int_equal(end->told, WATCH_READ | WATCH_WRITE);
    close_end(end);
}

/* As many as there may be in one turn, and more. */
static void test_all_are_told(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < ENDS_MAX; i++) {
        struct end *end = open_end(rig, WATCH_READ);
        end->then = hear_and_quiet;
        say(end);
    }
    run(rig);
    for (size_t i = 0; i < ENDS_MAX; i++) {
        assert_int_equal(rig->ends[i].n_told, 1);
        close_end(&rig->ends[i]);
    }
}

/* ---- less, and more ---- */

static void want_only_writing(struct end *end)
{
    if ((end->told & WATCH_WRITE) == 0) {
        watch_want(end->watch, WATCH_WRITE);
        return;
    }
    assert_int_equal(end->told, WATCH_WRITE); /* though there is still something to be read */
    if (end->n_told == 4) {
        quiet(end);
    }
}

static void test_what_is_not_wanted_any_more_is_not_told(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ);
    end->then = want_only_writing;
    say(end);
    run(rig);
    assert_int_equal(end->n_told, 4);
    close_end(end);
}

static void want_less_then_all(struct end *end)
{
    static const unsigned wanted[] = {WATCH_WRITE, WATCH_READ, WATCH_READ | WATCH_WRITE, 0};
    static const unsigned told[] = {WATCH_READ | WATCH_WRITE, WATCH_WRITE, WATCH_READ,
                                    WATCH_READ | WATCH_WRITE};
    assert_int_equal(end->told, told[end->n_told - 1]);
    watch_want(end->watch, wanted[end->n_told - 1]);
}

static void test_what_is_wanted_again_is_told_again(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ | WATCH_WRITE);
    end->then = want_less_then_all;
    say(end);
    run(rig);
    assert_int_equal(end->n_told, 4);
    close_end(end);
}

/* Nothing is wanted of it while it becomes ready, and then something is. */
static void wake_the_next(struct end *end)
{
    struct end *next = end + 1;
    hear_and_quiet(end);
    say(next);
    watch_want(next->watch, WATCH_READ);
}

static void test_what_came_while_nothing_was_wanted_is_told(void **state)
{
    struct rig *rig = *state;
    struct end *first = open_end(rig, WATCH_READ), *second = open_end(rig, WATCH_READ);
    watch_want(second->watch, 0);
    first->then = wake_the_next;
    second->then = hear_and_quiet;
    say(first);
    run(rig);
    assert_int_equal(second->n_told, 1);
    close_end(first);
    close_end(second);
}

/* In one turn both have something; the first that is told takes the other's wish away. */
static void quiet_the_other(struct end *end)
{
    struct end *other = end == end->rig->ends ? end + 1 : end - 1;
    quiet(end);
    quiet(other);
}

static void test_the_wish_of_another_is_taken_away_in_the_same_turn(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2; i++) {
        struct end *end = open_end(rig, WATCH_READ);
        end->then = quiet_the_other;
        say(end);
    }
    run(rig);
    assert_int_equal(rig->ends[0].n_told + rig->ends[1].n_told, 1);
    close_end(&rig->ends[0]);
    close_end(&rig->ends[1]);
}

/* ---- other owners ---- */

static void on_second_owner(void *ctx, unsigned events)
{
    struct end *end = ctx;
    assert_int_equal(events, WATCH_READ);
    end->n_told += 100;
    hear_and_quiet(end);
}

static void hand_over(struct end *end)
{
    watch_hand_over(end->watch, on_second_owner, end);
}

static void test_the_next_owner_is_told_what_the_first_left(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ);
    end->then = hand_over;
    say(end);
    run(rig);
    assert_int_equal(end->n_told, 101);
    close_end(end);
}

/* ---- closing ---- */

static void test_one_closes_itself(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ | WATCH_WRITE);
    end->then = close_end;
    say(end);
    run(rig);
    assert_int_equal(end->n_told, 1);
}

static void test_one_closes_all_for_which_something_has_come(void **state)
{
    struct rig *rig = *state;
    unsigned n_told = 0;
    for (size_t i = 0; i < 200; i++) {
        struct end *end = open_end(rig, WATCH_READ | WATCH_WRITE);
        end->then = close_all;
        say(end);
    }
    run(rig);
    for (size_t i = 0; i < rig->n; i++) {
        n_told += rig->ends[i].n_told;
    }
    assert_int_equal(n_told, 1);
}

static void on_say_to_last(uv_timer_t *timer)
{
    struct rig *rig = timer->data;
    struct end *last = &rig->ends[rig->n - 1];
    assert_int_equal(last->n_told, 0);
    say(last);
}

/* The new one gets the descriptor of the one that was closed, and perhaps its memory. */
static void close_other_and_open(struct end *end)
{
    struct rig *rig = end->rig;
    struct end *other = end == rig->ends ? &rig->ends[1] : &rig->ends[0];
    int fd = watch_fd(other->watch);
    quiet(end);
    close_end(other);
    struct end *fresh = open_end(rig, WATCH_READ);
    assert_true(watch_fd(fresh->watch) == fd || fresh->peer == fd);
    fresh->then = hear_and_quiet;
    uv_timer_start(&rig->timer, on_say_to_last, 10, 0);
}

static void test_a_new_one_is_not_told_of_what_came_for_a_closed_one(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2; i++) {
        struct end *end = open_end(rig, WATCH_READ);
        end->then = close_other_and_open;
        say(end);
    }
    run(rig);
    assert_int_equal(rig->ends[0].n_told + rig->ends[1].n_told, 1);
    assert_int_equal(rig->ends[2].n_told, 1);
}

/* The same socket is open elsewhere: closing it here is not the end of its events. */
static void test_one_that_is_open_elsewhere(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ), *last = open_end(rig, WATCH_READ);
    int elsewhere = dup(watch_fd(end->watch)), peer = dup(end->peer);
    end->then = close_end;
    say(end);
    last->then = hear_and_quiet;
    say(last);
    run(rig);
    assert_int_equal(end->n_told, 1);
    assert_int_equal(write(peer, "x", 1), 1);
    close(elsewhere);
    close(peer);
    close_end(last);
}

static void test_closing_nothing(void **state)
{
    (void)state;
    assert_null(watch_close(NULL));
}

static void test_closing_what_never_wanted_anything(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, 0);
    close_end(end);
    run(rig);
}

/* ---- the end of the other side ---- */

static void hang_up(struct end *end)
{
    close(end->peer);
    end->peer = -1;
}

static void test_a_hangup_is_told_as_all_that_is_wanted(void **state)
{
    struct rig *rig = *state;
    static const unsigned wanted[] = {WATCH_READ, WATCH_WRITE, WATCH_HANGUP,
                                      WATCH_READ | WATCH_WRITE | WATCH_HANGUP};
    for (size_t i = 0; i < 4; i++) {
        struct end *end = open_end(rig, wanted[i]);
        end->then = quiet;
        hang_up(end);
    }
    run(rig);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rig->ends[i].n_told, 1);
        assert_int_equal(rig->ends[i].told, wanted[i]);
        close_end(&rig->ends[i]);
    }
}

static void test_a_half_close_is_a_hangup(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_HANGUP);
    end->then = quiet;
    assert_int_equal(shutdown(end->peer, SHUT_WR), 0);
    run(rig);
    assert_int_equal(end->told, WATCH_HANGUP);
    close_end(end);
}

static void test_nothing_is_told_of_a_hangup_that_is_not_wanted(void **state)
{
    struct rig *rig = *state;
    struct end *gone = open_end(rig, WATCH_READ), *other = open_end(rig, WATCH_READ);
    watch_want(gone->watch, 0);
    hang_up(gone);
    other->then = quiet_after_five;
    say(other);
    run(rig);
    assert_int_equal(gone->n_told, 0);
    close_end(gone);
    close_end(other);
}

/* ---- errors ---- */

/* A TCP connection, of which the peer is reset. */
static struct end *open_reset(struct rig *rig, unsigned events)
{
    const struct linger abortive = {.l_onoff = 1};
    struct sockaddr_storage addr = {.ss_family = AF_INET};
    socklen_t len = sizeof(addr);
    struct end *end = &rig->ends[rig->n++];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
    int peer = accept(listener, NULL, NULL);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &abortive, sizeof(abortive));
    close(peer);
    close(listener);
    *end = (struct end){.rig = rig, .peer = -1};
    end->watch = watch_open(&rig->loop, fd, on_ready, end);
    assert_non_null(end->watch);
    watch_want(end->watch, events);
    return end;
}

static void expect_error(struct end *end)
{
    char byte;
    assert_int_equal(recv(watch_fd(end->watch), &byte, 1, 0), -1);
}

/* It ends the loop, too, since nothing is wanted any more. */
static void test_an_error_is_told_once(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_reset(rig, WATCH_READ);
    end->then = expect_error;
    run(rig);
    assert_int_equal(end->n_told, 1);
    assert_int_equal(end->told, WATCH_READ);
}

static void want_again(struct end *end)
{
    if (end->n_told < 3) {
        watch_want(end->watch, WATCH_READ);
    }
}

static void test_an_error_is_told_again_to_who_asks(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_reset(rig, WATCH_READ | WATCH_HANGUP);
    end->then = want_again;
    run(rig);
    assert_int_equal(end->n_told, 3);
    close_end(end);
}

/* ---- what the kernel refuses ---- */

/* Of a file that is always ready the kernel tells nothing. */
static struct end *open_refused(struct rig *rig, unsigned events)
{
    struct end *end = &rig->ends[rig->n++];
    *end = (struct end){.rig = rig, .peer = -1};
    end->watch = watch_open(&rig->loop, open("/dev/null", O_RDWR | O_CLOEXEC), on_ready, end);
    assert_non_null(end->watch);
    watch_want(end->watch, events);
    return end;
}

static void test_what_is_refused_is_told_as_an_error(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_refused(rig, WATCH_READ | WATCH_HANGUP);
    assert_int_equal(end->n_told, 0); /* not before a turn */
    run(rig);
    assert_int_equal(end->n_told, 1);
    assert_int_equal(end->told, WATCH_READ | WATCH_HANGUP);
    close_end(end);
}

static void test_what_is_refused_is_told_to_each_and_again_to_who_asks(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 3; i++) {
        open_refused(rig, WATCH_READ)->then = want_again;
    }
    run(rig);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig->ends[i].n_told, 3);
        close_end(&rig->ends[i]);
    }
}

static void test_more_than_before_may_be_refused(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(dup2(null, watch_fd(end->watch)), watch_fd(end->watch));
    close(null);
    watch_want(end->watch, WATCH_READ | WATCH_WRITE);
    run(rig);
    assert_int_equal(end->n_told, 1);
    assert_int_equal(end->told, WATCH_READ | WATCH_WRITE);
    close_end(end);
}

static void test_what_is_refused_and_not_wanted_any_more_is_not_told(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_refused(rig, WATCH_READ), *closed = open_refused(rig, WATCH_READ);
    quiet(end);
    close_end(closed);
    run(rig);
    assert_int_equal(end->n_told + closed->n_told, 0);
    close_end(end);
}

static void test_one_closes_all_that_are_refused(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 3; i++) {
        open_refused(rig, WATCH_READ)->then = close_all;
    }
    run(rig);
    assert_int_equal(rig->ends[0].n_told + rig->ends[1].n_told + rig->ends[2].n_told, 1);
}

/* Its descriptor is closed, and the reason is not lost over that. */
static void test_a_set_that_cannot_be_made(void **state)
{
    struct rig *rig = *state;
    struct rlimit limit, none;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    errno = 0;
    struct watch *watch = watch_open(&rig->loop, fd, on_ready, NULL);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(watch);
    assert_int_equal(error, EMFILE);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* ---- with the rest of the loop ---- */

static void *say_later(void *ctx)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    say(ctx);
    return NULL;
}

static uint64_t cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Nothing but the watch keeps the loop, which waits all the same. */
static void test_a_loop_with_only_a_watch_sleeps(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ);
    pthread_t thread;
    end->then = close_watch;
    uint64_t before = cpu_ms();
    assert_int_equal(pthread_create(&thread, NULL, say_later, end), 0);
    run_alone(rig);
    pthread_join(thread, NULL);
    assert_int_equal(end->n_told, 1);
    assert_true(cpu_ms() - before < 100);
    close_end(end);
}

static void on_late(uv_timer_t *timer)
{
    struct rig *rig = timer->data;
    close_all(&rig->ends[0]);
    rig->n_turns++;
}

#define LONG_MS 600

static uint64_t ready_ms; /* when the owner was done */

/* The time that an owner takes is not added to what a timer waits. */
static void take_long(struct end *end)
{
    uint64_t until = clock_ms() + LONG_MS;
    if (end->n_told == 1) {
        return; /* libuv has something to do of its own in the first turn */
    }
    hear_and_quiet(end);
    uv_timer_start(&end->rig->timer, on_late, LONG_MS + 20, 0);
    while (clock_ms() < until) {
    }
    ready_ms = clock_ms();
}

static void test_owners_do_not_delay_timers(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ);
    end->then = take_long;
    say(end);
    uv_timer_start(&rig->timer, on_late, HANG_MS, 0);
    run_alone(rig);
    assert_int_equal(rig->n_turns, 1);
    assert_true(clock_ms() - ready_ms < LONG_MS);
}

static void on_turn(uv_idle_t *idle)
{
    struct rig *rig = idle->data;
    if (++rig->n_turns == 10) {
        uv_idle_stop(idle);
        say(&rig->ends[0]);
    }
}

/* Neither of the two that wait keeps the other from its turn. */
static void test_libuv_has_its_turns(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ), *busy = open_end(rig, WATCH_WRITE);
    end->then = close_all;
    (void)busy;
    uv_idle_start(&rig->idle, on_turn);
    run(rig);
    assert_int_equal(rig->n_turns, 10);
    assert_int_equal(end->n_told, 1);
}

static void on_soon(uv_timer_t *timer)
{
    struct rig *rig = timer->data;
    rig->n_turns++;
    say(&rig->ends[0]);
}

static void test_timers_pass(void **state)
{
    struct rig *rig = *state;
    struct end *end = open_end(rig, WATCH_READ);
    end->then = hear_and_quiet;
    uv_update_time(&rig->loop); /* that is when the timer begins */
    uint64_t before = uv_now(&rig->loop);
    uv_timer_start(&rig->timer, on_soon, 20, 0);
    run(rig);
    assert_true(uv_now(&rig->loop) - before >= 20);
    assert_int_equal(end->n_told, 1);
    close_end(end);
}

/* A loop's watches may all go and others come. */
static void test_a_loop_has_watches_again(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < 3; i++) {
        rig->n = 0; /* all of them are closed */
        struct end *end = open_end(rig, WATCH_READ);
        end->then = close_end;
        say(end);
        run(rig);
        assert_int_equal(end->n_told, 1);
    }
}

#define BOTH(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, open_plain, close_rig),                                  \
        cmocka_unit_test_setup_teardown(test, open_driven, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_a_loop_without_watches_ends),
        BOTH(test_what_can_be_read_is_told),
        BOTH(test_what_was_not_read_is_told_again),
        BOTH(test_all_that_is_wanted_is_told_at_once),
        BOTH(test_all_are_told),
        BOTH(test_what_is_not_wanted_any_more_is_not_told),
        BOTH(test_what_is_wanted_again_is_told_again),
        BOTH(test_what_came_while_nothing_was_wanted_is_told),
        BOTH(test_the_wish_of_another_is_taken_away_in_the_same_turn),
        BOTH(test_the_next_owner_is_told_what_the_first_left),
        BOTH(test_one_closes_itself),
        BOTH(test_one_closes_all_for_which_something_has_come),
        BOTH(test_a_new_one_is_not_told_of_what_came_for_a_closed_one),
        BOTH(test_one_that_is_open_elsewhere),
        BOTH(test_closing_nothing),
        BOTH(test_closing_what_never_wanted_anything),
        BOTH(test_a_hangup_is_told_as_all_that_is_wanted),
        BOTH(test_a_half_close_is_a_hangup),
        BOTH(test_nothing_is_told_of_a_hangup_that_is_not_wanted),
        BOTH(test_an_error_is_told_once),
        BOTH(test_an_error_is_told_again_to_who_asks),
        BOTH(test_what_is_refused_is_told_as_an_error),
        BOTH(test_what_is_refused_is_told_to_each_and_again_to_who_asks),
        BOTH(test_more_than_before_may_be_refused),
        BOTH(test_what_is_refused_and_not_wanted_any_more_is_not_told),
        BOTH(test_one_closes_all_that_are_refused),
        cmocka_unit_test_setup_teardown(test_a_set_that_cannot_be_made, open_plain, close_rig),
        BOTH(test_a_loop_with_only_a_watch_sleeps),
        BOTH(test_owners_do_not_delay_timers),
        BOTH(test_libuv_has_its_turns),
        BOTH(test_timers_pass),
        BOTH(test_a_loop_has_watches_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
