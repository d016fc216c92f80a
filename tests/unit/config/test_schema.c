#include "config/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_key_is_whole(void **state)
{
    (void)state;
    size_t n;
    const struct schema_key *keys = schema_keys(&n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(strspn(keys[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                         strlen(keys[i].name));
        assert_non_null(keys[i].help);
        assert_null(strchr(keys[i].help, '\n'));
        assert_true(!keys[i].is_required || keys[i].example != NULL);
        assert_true(!keys[i].is_required || keys[i].standard == NULL);
        /* Each key is found again, and is the first of its name. */
        assert_ptr_equal(schema_find(keys[i].kind, keys[i].name), &keys[i]);
    }
}

static void defaults_take_the_keys_of_a_service(void **state)
{
    (void)state;
    assert_ptr_equal(schema_find(SCHEMA_DEFAULTS, "listen"), schema_find(SCHEMA_SERVICE, "listen"));
    assert_null(schema_find(SCHEMA_DEFAULTS, "workers"));
    assert_null(schema_find(SCHEMA_AGENT, "listen"));
}

static void kinds_have_words(void **state)
{
    (void)state;
    for (int i = 0; i < SCHEMA_KINDS; i++) {
        enum schema_kind kind;
        assert_int_equal(schema_find_kind(schema_kind_word((enum schema_kind)i), &kind), 0);
        assert_int_equal(kind, i);
    }
    enum schema_kind kind = SCHEMA_AGENT;
    assert_int_equal(schema_find_kind("Agent", &kind), -1);
    assert_true(schema_kind_is_named(SCHEMA_SERVICE));
    assert_false(schema_kind_is_named(SCHEMA_DEFAULTS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_whole),
        cmocka_unit_test(defaults_take_the_keys_of_a_service),
        cmocka_unit_test(kinds_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
