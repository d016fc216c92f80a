/* What the tests of this room share: sheets that write to memory. */
#pragma once

#include "cli/sheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct paper {
    struct sheet sheet;
    char *text;
    size_t len;
};

static inline void paper_open(struct paper *paper, size_t width)
{
    *paper = (struct paper){0};
    paper->sheet =
        (struct sheet){.width = width, .height = SHEET_UNLIMITED, .folds = SHEET_UNLIMITED};
    paper->sheet.out = open_memstream(&paper->text, &paper->len);
    assert_non_null(paper->sheet.out);
}

/* Ends the writing; the text is then to be freed. */
static inline char *paper_close(struct paper *paper)
{
    assert_int_equal(fclose(paper->sheet.out), 0);
    return paper->text;
}

static inline void paper_expect(struct paper *paper, const char *expected)
{
    char *text = paper_close(paper);
    assert_string_equal(text, expected);
    free(text);
}
