#include "config/suggest.h"

#include <ctype.h>
#include <string.h>

/* Longer words are never near to anything. */
#define WORD_MAX 64

struct suggest suggest_begin(const char *wanted)
{
    return (struct suggest){.wanted = wanted, .distance = WORD_MAX};
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* The number of letters to insert, drop or replace to make `a` from `b` (Levenshtein's distance),
 * capital letters being no difference. Both have at most WORD_MAX bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    size_t len = strlen(b);
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t above = row[j];
            int same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (same ? 0 : 1));
            diagonal = above;
        }
    }
    return row[len];
}

void suggest_offer(struct suggest *suggest, const char *known)
{
    size_t len = strlen(suggest->wanted);
    if (len > WORD_MAX || strlen(known) > WORD_MAX) {
        return;
    }
    /* A third of the letters may be wrong, but one always. */
    size_t allowed = len < 6 ? 1 : len / 3;
    size_t d = distance(suggest->wanted, known);
    if (d <= allowed && d < suggest->distance) {
        suggest->nearest = known;
        suggest->distance = d;
    }
}
