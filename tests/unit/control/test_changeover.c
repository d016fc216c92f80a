/* What lies between two configurations, counted by services. */
#include "control/changeover.h"

#include "tests/unit/control/site.h"

static void expect_counts(const struct snapshot *before, const struct snapshot *next,
                          struct changeover_counts expected)
{
    struct changeover_counts counts = changeover_count(before, next);
    assert_int_equal(counts.added, expected.added);
    assert_int_equal(counts.changed, expected.changed);
    assert_int_equal(counts.removed, expected.removed);
    assert_int_equal(counts.unchanged, expected.unchanged);
}

/* What a reload with this text counts after one with that. */
static void expect_between(const char *that, const char *this, struct changeover_counts expected)
{
    site_configure("%s", that);
    struct snapshot *before = site_load(NULL);
    site_configure("%s", this);
    struct snapshot *next = site_load(before);
    expect_counts(before, next, expected);
    snapshot_free(before);
    snapshot_free(next);
}

#define A "[service a]\nlisten = 127.0.0.1:9001\n"
#define B "[service b]\nlisten = 127.0.0.1:9002\n"
#define C "[service c]\nlisten = 127.0.0.1:9003\n"

static void at_the_start_all_are_added(void **state)
{
    (void)state;
    site_configure(A B);
    struct snapshot *first = site_load(NULL);
    expect_counts(NULL, first, (struct changeover_counts){.added = 2});
    snapshot_free(first);
}

static void each_service_is_counted_once(void **state)
{
    (void)state;
    expect_between(A B, A B, (struct changeover_counts){.unchanged = 2});
    expect_between(A B, B A, (struct changeover_counts){.unchanged = 2});
    expect_between(A B, A B C, (struct changeover_counts){.added = 1, .unchanged = 2});
    expect_between(A B C, B, (struct changeover_counts){.removed = 2, .unchanged = 1});
    expect_between(A B, A B "idle_timeout = 1m\n",
                   (struct changeover_counts){.changed = 1, .unchanged = 1});
    expect_between(A B, "[service a]\nlisten = 127.0.0.1:9002\n",
                   (struct changeover_counts){.changed = 1, .removed = 1});
    expect_between(A, C, (struct changeover_counts){.added = 1, .removed = 1});
    expect_between(A B, "idle_timeout = 1m\n" A B, (struct changeover_counts){.changed = 2});
}

static void a_new_certificate_changes_who_presents_it(void **state)
{
    (void)state;
    site_configure(A B "tls_mode = tls\n");
    struct snapshot *before = site_load(NULL);
    site_write_identity("client.crt", "client.key");
    struct snapshot *next = snapshot_refresh(before);
    assert_non_null(next);
    expect_counts(before, next, (struct changeover_counts){.changed = 1, .unchanged = 1});
    assert_int_equal(snapshot_hold(next, 0, service_ref(before->services[0]), "refused"), 0);
    expect_counts(before, next, (struct changeover_counts){.unchanged = 2});
    snapshot_free(before);
    snapshot_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_the_start_all_are_added),
        cmocka_unit_test(each_service_is_counted_once),
        cmocka_unit_test(a_new_certificate_changes_who_presents_it),
    };
    return cmocka_run_group_tests(tests, site_enter, site_leave);
}
