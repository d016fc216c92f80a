/* What `status` shows: the whole agent on one page, or some of its services. */
#pragma once

#include "cli/document.h"
#include "cli/sheet.h"

#include <stdbool.h>

/* Prints verdict, services, what needs attention, and the process. With `on_one_screen` as many of
 * the services as leave the other lines on the screen; else all, and when the verdict has then left
 * the screen, it is told again at the end. */
void glance_print(const struct document *document, const struct sheet *sheet, bool on_one_screen);

/* Prints all about those services for which `chosen`, one for each, is true. */
void glance_print_chosen(const struct document *document, const bool *chosen,
                         const struct sheet *sheet);
