#include "cli/columns.h"
#include "cli/table.h"

#include "tests/unit/cli/fixture.h"

static const struct table_column columns[] = {
    {.title = "NAME", .may_shrink = true},
    {.title = "N", .is_right = true},
    {.title = "ADDRESS", .may_shrink = true},
    {.title = "LAST"},
};

static int prepare(void **state)
{
    (void)state;
    columns_prepare();
    return 0;
}

static struct table *new_table(void)
{
    struct table *table = table_new(columns, COUNT(columns));
    assert_non_null(table);
    return table;
}

static void add(struct table *table, const char *name, int n, const char *address, const char *last)
{
    table_row(table);
    table_cell(table, SHEET_PLAIN, "%s", name);
    table_cell(table, SHEET_PLAIN, "%d", n);
    table_cell(table, SHEET_PLAIN, "%s", address);
    table_cell(table, SHEET_PLAIN, "%s", last);
}

static void expect(struct table *table, size_t width, const char *expected)
{
    struct paper paper;
    paper_open(&paper, width);
    assert_int_equal(table_print(table, &paper.sheet, SIZE_MAX), 0);
    table_free(table);
    paper_expect(&paper, expected);
}

static void an_empty_table_has_titles(void **state)
{
    (void)state;
    expect(new_table(), 80, "NAME  N  ADDRESS  LAST\n");
    table_free(NULL);
}

static void columns_are_aligned(void **state)
{
    (void)state;
    struct table *table = new_table();
    add(table, "orders", 3, "a:1", "");
    add(table, "Ö", 120, "", "x");
    add(table, "中文", 7, "", "");
    assert_int_equal(table_width(table), 6 + 2 + 3 + 2 + 7 + 2 + 4);
    expect(table, 80,
           "NAME      N  ADDRESS  LAST\n"
           "orders    3  a:1\n"
           "Ö       120           x\n"
           "中文      7\n");
}

static void rows_may_have_fewer_cells(void **state)
{
    (void)state;
    struct table *table = new_table();
    table_row(table);
    table_cell(table, SHEET_PLAIN, "one");
    table_row(table);
    expect(table, 80, "NAME  N  ADDRESS  LAST\none\n\n");
}

static void the_widest_column_gives_way(void **state)
{
    (void)state;
    struct table *table = new_table();
    add(table, "a-service-with-a-long-name", 3, "api.example.com:443", "12 ca");
    expect(table, 44,
           "NAME              N  ADDRESS           LAST\n"
           "a-servic…ng-name  3  api.exam…com:443  12 ca\n");
}

static void no_line_is_longer_than_the_sheet(void **state)
{
    (void)state;
    for (size_t width = 1; width < 60; width++) {
        struct table *table = new_table();
        struct paper paper;
        add(table, "a-service-with-a-long-name", 123456, "中文.example.com:443", "backend");
        table_note(table, SHEET_PLAIN, "a note that has many words and does not fit either");
        paper_open(&paper, width);
        table_print(table, &paper.sheet, SIZE_MAX);
        table_free(table);
        char *text = paper_close(&paper);
        for (char *line = strtok(text, "\n"); line != NULL && width > 5;
             line = strtok(NULL, "\n")) {
            assert_true(columns_of(line) <= width);
        }
        free(text);
    }
}

static void a_note_stands_below_its_row(void **state)
{
    (void)state;
    struct table *table = new_table();
    add(table, "one", 1, "a:1", "x");
    table_note(table, SHEET_PLAIN, "Connection refused");
    add(table, "two", 2, "b:1", "y");
    expect(table, 80,
           "NAME  N  ADDRESS  LAST\n"
           "one   1  a:1      x\n"
           "    Connection refused\n"
           "two   2  b:1      y\n");
}

static void what_has_no_line_is_counted(void **state)
{
    (void)state;
    for (size_t max = 1; max <= 12; max++) {
        struct table *table = new_table();
        struct paper paper;
        size_t lines = 0;
        for (int i = 0; i < 5; i++) {
            add(table, "one", i, "a:1", "x");
            if (i % 2 == 0) {
                table_note(table, SHEET_PLAIN, "a note that takes both of its lines");
            }
        }
        paper_open(&paper, 24);
        size_t n_left = table_print(table, &paper.sheet, max);
        table_free(table);
        char *text = paper_close(&paper);
        for (const char *at = text; *at != '\0'; at++) {
            lines += *at == '\n';
        }
        assert_true(lines <= max);
        assert_int_equal(n_left == 0, max == 12);
        free(text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_has_titles),
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(rows_may_have_fewer_cells),
        cmocka_unit_test(the_widest_column_gives_way),
        cmocka_unit_test(no_line_is_longer_than_the_sheet),
        cmocka_unit_test(a_note_stands_below_its_row),
        cmocka_unit_test(what_has_no_line_is_counted),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
