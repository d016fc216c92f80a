#include "cli/columns.h"
#include "cli/sheet.h"

#include "tests/unit/cli/fixture.h"

static int prepare(void **state)
{
    (void)state;
    columns_prepare();
    return 0;
}

static void a_line_is_cut(void **state)
{
    (void)state;
    struct paper paper;
    paper_open(&paper, 10);
    sheet_line(&paper.sheet, SHEET_RED, "%s", "ten column");
    sheet_line(&paper.sheet, SHEET_RED, "%s", "eleven colu");
    paper_expect(&paper, "ten column\neleven co…\n");
}

static void what_is_unlimited_is_not_cut(void **state)
{
    (void)state;
    struct paper paper;
    char text[2001];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    paper_open(&paper, SHEET_UNLIMITED);
    sheet_line(&paper.sheet, SHEET_PLAIN, "%s", text);
    sheet_fold(&paper.sheet, 4, 2, SHEET_PLAIN, "%s", text);
    char *printed = paper_close(&paper);
    assert_int_equal(strlen(printed), 2001 + 4 + 2001);
    free(printed);
}

static void colour_is_taken_back(void **state)
{
    (void)state;
    struct paper paper;
    paper_open(&paper, 80);
    paper.sheet.in_colour = true;
    sheet_line(&paper.sheet, SHEET_RED, "bad");
    sheet_line(&paper.sheet, SHEET_PLAIN, "plain");
    paper_expect(&paper, "\033[31mbad\033[0m\nplain\n");
}

static void nothing_acts_on_the_terminal(void **state)
{
    (void)state;
    struct paper paper;
    static const char hostile[] = "\033]0;title\007\xc2\x9b"
                                  "31m\u202e\r\nx\x7f";
    paper_open(&paper, 80);
    sheet_line(&paper.sheet, SHEET_RED, "%s", hostile);
    sheet_item(&paper.sheet, 0, SHEET_RED, "label", "%s", hostile);
    sheet_fold(&paper.sheet, 0, 9, SHEET_RED, "%s", hostile);
    char *text = paper_close(&paper);
    for (const char *at = text; *at != '\0'; at++) {
        assert_true((*at >= ' ' && *at <= '~') || *at == '\n');
    }
    free(text);
}

static void texts_are_folded_at_blanks(void **state)
{
    (void)state;
    struct paper paper;
    paper_open(&paper, 24);
    sheet_item(&paper.sheet, 0, SHEET_PLAIN, "why", "nothing listens on that");
    sheet_item(&paper.sheet, 2, SHEET_PLAIN, "", "/a/path/without/blanks");
    paper_expect(&paper, "why          nothing\n"
                         "             listens on\n"
                         "             that\n"
                         "               /a/path/w\n"
                         "               ithout/bl\n"
                         "               anks\n");
}

static void the_last_line_of_some_is_cut(void **state)
{
    (void)state;
    struct paper paper;
    paper_open(&paper, 14);
    sheet_fold(&paper.sheet, 4, 2, SHEET_PLAIN, "one two three four five");
    paper_expect(&paper, "    one two\n    three fou…\n");
}

static void a_narrow_sheet_ends(void **state)
{
    (void)state;
    struct paper paper;
    paper_open(&paper, 1);
    sheet_item(&paper.sheet, 0, SHEET_PLAIN, "label", "中文 a b");
    sheet_fold(&paper.sheet, 4, 99, SHEET_PLAIN, "中文 a b");
    free(paper_close(&paper));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_cut),
        cmocka_unit_test(what_is_unlimited_is_not_cut),
        cmocka_unit_test(colour_is_taken_back),
        cmocka_unit_test(nothing_acts_on_the_terminal),
        cmocka_unit_test(texts_are_folded_at_blanks),
        cmocka_unit_test(the_last_line_of_some_is_cut),
        cmocka_unit_test(a_narrow_sheet_ends),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
