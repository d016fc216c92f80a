/* Each item is worked on once, in order, and only so many of them in a turn of the loop. */
#include "base/clock.h"
#include "worker/trickle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

enum { MANY = 5 * TRICKLE_MAX + 3 };

struct item {
    struct list link;
    unsigned number;
};

static struct {
    uv_loop_t loop;
    struct trickle *trickle;
    struct item items[MANY];
    unsigned n_done;
} rig;

static void act(struct list *link)
{
    const struct item *item = list_item(link, struct item, link);
    assert_int_equal(item->number, rig.n_done);
    rig.n_done++;
}

static int open_rig(void **state)
{
    (void)state;
    rig.n_done = 0;
    assert_int_equal(uv_loop_init(&rig.loop), 0);
    rig.trickle = trickle_new(&rig.loop, act);
    assert_non_null(rig.trickle);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig.trickle = trickle_free(rig.trickle);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&rig.loop);
}

static void add(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        rig.items[i].number = i;
        list_init(&rig.items[i].link);
        trickle_add(rig.trickle, &rig.items[i].link);
    }
}

/* Returns how many were worked on. */
static unsigned turn(void)
{
    unsigned before = rig.n_done;
    uv_run(&rig.loop, UV_RUN_NOWAIT); /* looks at timers once */
    return rig.n_done - before;
}

/* The test's own limit ends what hangs. */
static void run_until(unsigned n)
{
    uint64_t end_ms = clock_ms() + 30000;
    while (rig.n_done < n && clock_ms() < end_ms) {
        assert_in_range(turn(), 0, TRICKLE_MAX);
    }
    assert_int_equal(rig.n_done, n);
}

static void test_some_in_each_turn(void **state)
{
    (void)state;
    add(0, MANY);
    assert_int_equal(rig.n_done, 0);
    run_until(MANY);
    assert_false(uv_loop_alive(&rig.loop));
}

static void test_those_that_come_later_stand_behind(void **state)
{
    (void)state;
    add(0, TRICKLE_MAX + 1);
    run_until(TRICKLE_MAX);
    add(TRICKLE_MAX + 1, TRICKLE_MAX + 3);
    run_until(TRICKLE_MAX + 3);
    add(TRICKLE_MAX + 3, TRICKLE_MAX + 4); /* after a rest */
    run_until(TRICKLE_MAX + 4);
}

static void test_the_end_works_on_all(void **state)
{
    (void)state;
    add(0, MANY);
    rig.trickle = trickle_free(rig.trickle);
    assert_int_equal(rig.n_done, MANY);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_some_in_each_turn),
        TEST(test_those_that_come_later_stand_behind),
        TEST(test_the_end_works_on_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
