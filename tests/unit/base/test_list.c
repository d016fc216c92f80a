#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int value;
    struct list link;
};

static void items_stay_in_order(void **state)
{
    (void)state;
    struct list head;
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
    list_init(&head);
    assert_true(list_empty(&head));
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_append(&head, &c.link);
    int expected = 1;
    LIST_EACH (link, &head) {
        assert_int_equal(list_item(link, struct item, link)->value, expected++);
    }
    assert_int_equal(expected, 4);
}

static void removal_leaves_a_lone_link(void **state)
{
    (void)state;
    struct list head;
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
    list_init(&head);
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_append(&head, &c.link);
    list_remove(&b.link);
    list_remove(&b.link);
    assert_true(list_empty(&b.link));
    assert_ptr_equal(head.next, &a.link);
    assert_ptr_equal(head.next->next, &c.link);
    assert_ptr_equal(head.prev, &c.link);
}

static void the_current_item_may_be_removed(void **state)
{
    (void)state;
    struct list head;
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
    int seen = 0;
    list_init(&head);
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_append(&head, &c.link);
    LIST_EACH_SAFE (link, &head) {
        seen++;
        list_remove(link);
    }
    assert_int_equal(seen, 3);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay_in_order),
        cmocka_unit_test(removal_leaves_a_lone_link),
        cmocka_unit_test(the_current_item_may_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
