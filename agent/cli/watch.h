/* A page on the terminal that is drawn again and again. */
#pragma once

#include "cli/sheet.h"

#include <stdbool.h>

/* Writes the page as it is now. */
typedef void watch_draw(void *ctx, const struct sheet *sheet);

/* True when stdout is a terminal that a page can be drawn on. */
bool watch_is_possible(void);

/* Draws every two seconds, and when the terminal gets another size, until `q` is typed; a signal
 * ends the process as ever. In any case the terminal is then as it was before. Returns -1 when the
 * terminal is gone. */
int watch_run(watch_draw *draw, void *ctx);
