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
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&head);
    assert_true(list_empty(&head));
    for (int i = 0; i < 3; i++) {
        list_append(&head, &items[i].link);
    }
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
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&head);
    for (int i = 0; i < 3; i++) {
        list_append(&head, &items[i].link);
    }
    list_remove(&items[1].link);
    list_remove(&items[1].link);
    assert_true(list_empty(&items[1].link));
    assert_ptr_equal(head.next, &items[0].link);
    assert_ptr_equal(head.next->next, &items[2].link);
}

static void the_current_item_may_be_removed(void **state)
{
    (void)state;
    struct list head;
    struct item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
    int seen = 0;
    list_init(&head);
    for (int i = 0; i < 4; i++) {
        list_append(&head, &items[i].link);
    }
    LIST_EACH_SAFE (link, &head) {
        seen++;
        list_remove(link);
    }
    assert_int_equal(seen, 4);
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
