#include "config/ini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void on_section(void *ctx, unsigned line, const char *header)
{
    fprintf(ctx, "%u[%s]\n", line, header);
}

static void on_key(void *ctx, unsigned line, const char *key, const char *value)
{
    fprintf(ctx, "%u{%s|%s}\n", line, key, value);
}

static void on_bad(void *ctx, unsigned line, const char *why)
{
    fprintf(ctx, "%u!%.*s\n", line, (int)strcspn(why, ";"), why);
}

/* Walks through bytes and expects what the lines are. */
static void assert_walk(const char *text, size_t len, const char *expected)
{
    char *seen = NULL;
    size_t seen_len;
    FILE *out = open_memstream(&seen, &seen_len);
    const struct ini_events events = {out, on_section, on_key, on_bad};
    ini_walk(text, len, &events);
    fclose(out);
    assert_string_equal(seen, expected);
    free(seen);
}

static void lines_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"\n\n \t\n", ""},
        {"; a comment\n# another\n  ; indented\n", ""},
        {"[agent]\nworkers = 2\n", "1[agent]\n2{workers|2}\n"},
        {"[agent]\nworkers=2", "1[agent]\n2{workers|2}\n"},
        {"[ service   x ]\n", "1[service   x]\n"},
        {"[empty]\n[also]\n", "1[empty]\n2[also]\n"},
        {"[a] ; comment\n", "1[a]\n"},
        {"a: b\n", "1{a|b}\n"},
        {"a = b = c\n", "1{a|b = c}\n"},
        {"a = b ; comment\n", "1{a|b}\n"},
        {"a = b;c\n", "1{a|b;c}\n"},
        {"a =\n", "1{a|}\n"},
        {"= b\n", "1{|b}\n"},
        {"\n\n  [a]\n\n b = c\n", "3[a]\n5{b|c}\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_walk(cases[i].text, strlen(cases[i].text), cases[i].expected);
    }
}

static void an_indented_key_is_no_continuation(void **state)
{
    (void)state;
    static const char text[] = "a = 1\n  b = 2\n\tc = 3\n  d\n";
    assert_walk(text, strlen(text),
                "1{a|1}\n2{b|2}\n3{c|3}\n4!the line is neither [section] nor key = value\n");
}

static void every_bad_line_is_told(void **state)
{
    (void)state;
    static const char text[] = "nothing\n[a\n[b] c\na = 1\nnothing again\n[]\nlast";
    assert_walk(text, strlen(text),
                "1!the line is neither [section] nor key = value\n"
                "2!the section's closing bracket is missing\n"
                "3!there is text after the section's ]\n"
                "4{a|1}\n"
                "5!the line is neither [section] nor key = value\n"
                "6[]\n"
                "7!the line is neither [section] nor key = value\n");
}

static void crlf_and_mark_are_accepted(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf[a]\r\nb = c\r\n\r\n; x\r\nd = e\r";
    assert_walk(text, strlen(text), "1[a]\n2{b|c}\n5{d|e}\n");
    assert_walk("\xef\xbb\xbf", 3, "");
    assert_walk("\xef\xbb", 2, "1!the line is neither [section] nor key = value\n");
}

static void bytes_that_do_not_belong_are_refused(void **state)
{
    (void)state;
    static const char nul[] = "a = b\0c\n; d\0\nd = e\n\0";
    assert_walk(nul, sizeof(nul) - 1,
                "1!the line has a NUL byte\n2!the line has a NUL byte\n3{d|e}\n"
                "4!the line has a NUL byte\n");
    static const char old[] = "a = 1\rb = 2\r; c\r";
    assert_walk(old, strlen(old), "1!the line has a carriage return in it\n");
    static const char bell[] = "a = \a\nb\x7f = c\n; \a in a comment\na =\tb\n";
    assert_walk(bell, strlen(bell),
                "1!the line has a control character\n2!the line has a control character\n4{a|b}\n");
}

/* The longest line that is accepted, found by trying: inih's build decides. */
static size_t longest_line(void)
{
    char text[4096], expected[4200];
    memset(text, 'v', sizeof(text));
    text[0] = 'k';
    text[1] = '=';
    size_t len = 10;
    for (;; len++) {
        char *seen = NULL;
        size_t seen_len;
        FILE *out = open_memstream(&seen, &seen_len);
        const struct ini_events events = {out, on_section, on_key, on_bad};
        ini_walk(text, len, &events);
        fclose(out);
        snprintf(expected, sizeof(expected), "1{k|%.*s}\n", (int)len - 2, text + 2);
        int is_whole = strcmp(seen, expected) == 0;
        int is_refused = strncmp(seen, "1!the line has ", 15) == 0;
        free(seen);
        assert_true(is_whole || is_refused);
        if (is_refused) {
            return len - 1;
        }
        assert_true(len < sizeof(text));
    }
}

static void a_line_is_whole_or_refused(void **state)
{
    (void)state;
    size_t longest = longest_line();
    assert_true(longest >= 197);
    /* The line after a long one is not part of it, whatever the end of line. */
    for (size_t len = longest - 2; len < longest + 3; len++) {
        char text[8192];
        memset(text, 'v', len);
        memcpy(text, "k=", 2);
        memcpy(text + len, "\r\na=b\n", 7);
        char expected[8300];
        if (len <= longest) {
            snprintf(expected, sizeof(expected), "1{k|%.*s}\n2{a|b}\n", (int)len - 2, text + 2);
        } else {
            snprintf(expected, sizeof(expected),
                     "1!the line has %zu bytes and the limit is %zu\n2{a|b}\n", len, longest);
        }
        assert_walk(text, len + 6, expected);
    }
}

static void a_long_comment_is_no_matter(void **state)
{
    (void)state;
    static char text[1 << 20];
    const size_t len = sizeof(text);
    memset(text, 'x', len);
    text[0] = ';';
    memcpy(text + len - 7, "\na = b\n", 7);
    assert_walk(text, len, "2{a|b}\n");
}

static void a_line_of_a_megabyte_is_refused(void **state)
{
    (void)state;
    static char text[1 << 20];
    const size_t len = sizeof(text);
    memset(text, 'x', len);
    memcpy(text, "a = ", 4);
    char expected[128];
    snprintf(expected, sizeof(expected), "1!the line has %zu bytes and the limit is %zu\n", len,
             longest_line());
    assert_walk(text, len, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_told_apart),
        cmocka_unit_test(an_indented_key_is_no_continuation),
        cmocka_unit_test(every_bad_line_is_told),
        cmocka_unit_test(crlf_and_mark_are_accepted),
        cmocka_unit_test(bytes_that_do_not_belong_are_refused),
        cmocka_unit_test(a_line_is_whole_or_refused),
        cmocka_unit_test(a_long_comment_is_no_matter),
        cmocka_unit_test(a_line_of_a_megabyte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
