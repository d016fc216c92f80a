/* The page's table of services. */
#pragma once

#include "status/view.h"
#include "status/writer.h"

void page_write_services(const struct view *view, struct writer *out);
