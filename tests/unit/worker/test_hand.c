/* One thing at a time by another thread, told on the loop, and an end at any moment. */
#include "base/clock.h"
#include "worker/hand.h"
#include "worker/watch.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 100

static struct {
    uv_loop_t loop;
    struct hand *hand;
    sem_t begun, gate;
    pthread_t thread; /* that did it */
    unsigned n_worked, n_done;
} rig;

static void work(void *ctx)
{
    (void)ctx;
    rig.thread = pthread_self();
    rig.n_worked++; /* no atomic: it is handed to and fro */
}

static void work_until_let_go(void *ctx)
{
    sem_post(&rig.begun);
    while (sem_wait(&rig.gate) < 0) {
    }
    work(ctx);
}

static void on_done(void *ctx)
{
    assert_ptr_equal(ctx, &rig);
    rig.n_done++;
    if (rig.n_done < MANY) {
        hand_do(rig.hand, work, &rig);
    }
}

static int open_rig(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    assert_int_equal(uv_loop_init(&rig.loop), 0);
    sem_init(&rig.begun, 0, 0);
    sem_init(&rig.gate, 0, 0);
    rig.hand = hand_new(&rig.loop, on_done, &rig);
    assert_non_null(rig.hand);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    hand_free(rig.hand);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    sem_destroy(&rig.begun);
    sem_destroy(&rig.gate);
    return uv_loop_close(&rig.loop);
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    hand_do(rig.hand, work, &rig);
    uv_run(&rig.loop, UV_RUN_DEFAULT); /* until nothing is in hand */
    assert_int_equal(rig.n_done, MANY);
    assert_int_equal(rig.n_worked, MANY);
    assert_false(pthread_equal(rig.thread, pthread_self()));
}

static void *let_go(void *ctx)
{
    sem_wait(&rig.begun);
    sem_post(&rig.gate);
    return ctx;
}

static void test_the_end_waits_for_what_was_begun(void **state)
{
    pthread_t other;
    (void)state;
    hand_do(rig.hand, work_until_let_go, &rig);
    assert_int_equal(sem_wait(&rig.begun), 0);
    sem_post(&rig.begun);
    assert_int_equal(pthread_create(&other, NULL, let_go, NULL), 0);
    rig.hand = hand_free(rig.hand);
    assert_int_equal(rig.n_worked, 1);
    assert_int_equal(rig.n_done, 0);
    pthread_join(other, NULL);
}

/* What has not been begun may be left undone, and is not told in either case. */
static void test_the_end_at_once(void **state)
{
    (void)state;
    hand_do(rig.hand, work, &rig);
    rig.hand = hand_free(rig.hand);
    assert_int_equal(rig.n_done, 0);
}

static void test_without_a_descriptor(void **state)
{
    struct rlimit before, none;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct hand *hand = hand_new(&rig.loop, on_done, &rig);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(hand);
    assert_int_equal(error, EMFILE);
}

static void test_nothing_is_accepted(void **state)
{
    (void)state;
    assert_null(hand_free(NULL));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_after_the_other),
        TEST(test_the_end_waits_for_what_was_begun),
        TEST(test_the_end_at_once),
        TEST(test_without_a_descriptor),
        cmocka_unit_test(test_nothing_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
