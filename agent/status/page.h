/* The status of the agent as one HTML page that needs nothing else: no script, no image, no font.
 * It loads itself anew every few seconds. */
#pragma once

#include "status/view.h"
#include "status/writer.h"

void page_write(const struct view *view, struct writer *out);
