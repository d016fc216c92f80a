#include "certs/handles.h"
#include "certs/inspect.h"

#include "fixture.h"

static struct inspect_facts *inspect(struct fixture_spec spec)
{
    struct fixture_cert made = fixture_make(spec);
    struct inspect_facts *facts = calloc(1, sizeof(*facts));
    assert_non_null(facts);
    assert_int_equal(handles_inspect(made.crt, facts), 0);
    fixture_release(&made);
    return facts;
}

static void release(struct inspect_facts *facts)
{
    inspect_release(facts);
    assert_null(facts->subject);
    free(facts);
}

static void tells_who_and_until_when(void **state)
{
    (void)state;
    struct fixture_cert ca =
        fixture_make((struct fixture_spec){.cn = "Root, the first", .is_ca = true});
    struct inspect_facts *facts = inspect((struct fixture_spec){.cn = "api", .issuer = &ca});
    assert_string_equal(facts->subject, "CN=api");
    assert_string_equal(facts->issuer, "CN=Root\\, the first");
    assert_false(facts->is_ca);
    assert_int_equal(inspect_days_left(facts, time(NULL)), 365);
    assert_int_equal(facts->not_after - facts->not_before, 366 * FIXTURE_DAY);
    release(facts);
    fixture_release(&ca);
}

static void an_empty_subject_is_an_empty_text(void **state)
{
    (void)state;
    struct inspect_facts *facts = inspect((struct fixture_spec){0});
    assert_string_equal(facts->subject, "");
    release(facts);
}

static void a_version_1_root_is_an_authority(void **state)
{
    (void)state;
    struct fixture_cert root = fixture_make((struct fixture_spec){.cn = "V1 Root", .version = 1});
    struct inspect_facts *facts =
        inspect((struct fixture_spec){.cn = "V1 Leaf", .version = 1, .issuer = &root});
    assert_false(facts->is_ca);
    release(facts);

    facts = inspect((struct fixture_spec){.cn = "V1 Root", .version = 1});
    assert_true(facts->is_ca);
    release(facts);
    fixture_release(&root);
}

static void days_are_whole_and_rounded_down(void **state)
{
    (void)state;
    const struct {
        time_t seconds;
        long days;
    } cases[] = {
        {0, 0},
        {1, 0},
        {FIXTURE_DAY - 1, 0},
        {FIXTURE_DAY, 1},
        {-1, -1},
        {-FIXTURE_DAY, -1},
        {-FIXTURE_DAY - 1, -2},
    };
    const time_t now = 1700000000;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct inspect_facts facts = {.not_after = now + cases[i].seconds};
        assert_int_equal(inspect_days_left(&facts, now), cases[i].days);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_who_and_until_when),
        cmocka_unit_test(an_empty_subject_is_an_empty_text),
        cmocka_unit_test(a_version_1_root_is_an_authority),
        cmocka_unit_test(days_are_whole_and_rounded_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
