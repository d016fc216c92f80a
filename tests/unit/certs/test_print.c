#include "certs/print.h"

#include "tests/unit/certs/fixture.h"

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void it_is_of_the_content_alone(void **state)
{
    struct print one, same, other, empty;
    (void)state;
    write_file("one", "content");
    write_file("same", "content");
    write_file("other", "Content");
    write_file("empty", "");
    print_take("one", &one);
    print_take("same", &same);
    print_take("other", &other);
    print_take("empty", &empty);
    assert_true(one.is_there && empty.is_there);
    assert_true(print_same(&one, &same));
    assert_false(print_same(&one, &other));
    assert_false(print_same(&one, &empty));
}

static void what_cannot_be_read_is_not_there(void **state)
{
    struct print missing, folder, fifo, large, empty;
    (void)state;
    write_file("large", "");
    assert_int_equal(truncate("large", 32 * 1024 * 1024 + 1), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    write_file("empty", "");
    print_take("missing", &missing);
    print_take(".", &folder);
    print_take("fifo", &fifo);
    print_take("large", &large);
    print_take("empty", &empty);
    assert_false(missing.is_there || folder.is_there || fifo.is_there || large.is_there);
    assert_true(print_same(&missing, &folder) && print_same(&fifo, &large));
    assert_false(print_same(&missing, &empty));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_of_the_content_alone),
        cmocka_unit_test(what_cannot_be_read_is_not_there),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
