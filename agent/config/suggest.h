/* "Did you mean": the nearest of some known words. */
#pragma once

#include <stddef.h>

struct suggest {
    const char *wanted;
    const char *nearest; /* NULL while none was near enough */
    size_t distance;     /* of `nearest` */
};

/* Begins the search for what `wanted` may have been meant to be. */
struct suggest suggest_begin(const char *wanted);

/* Offers one known word, which must outlive the search. */
void suggest_offer(struct suggest *suggest, const char *known);
