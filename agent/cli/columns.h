/* UTF-8 on a terminal: how wide a text is, and how to cut one. Texts are clean: nothing in them
 * acts on a terminal (see base/escape.h). A text that is cut has an ellipsis where something is
 * missing. */
#pragma once

#include <stddef.h>

/* Room for the ellipsis and a final NUL, on top of a text. */
#define COLUMNS_CUT_MORE 4

/* Makes the other functions know how wide a character is, whatever the user's locale. To be called
 * once, at the start; without it every one that is not ASCII is taken for one column wide. */
void columns_prepare(void);

/* Columns that a text takes. */
size_t columns_of(const char *text);

/* How many bytes at the start of a text fit into `columns`. */
size_t columns_fit(const char *text, size_t columns);

/* Cuts a text to `columns`, at its end, or in its middle: of an address the port remains, and of
 * names that begin alike what tells them apart. The memory of `text` must have COLUMNS_CUT_MORE
 * bytes more than the text. */
void columns_cut_end(char *text, size_t columns);
void columns_cut_middle(char *text, size_t columns);
