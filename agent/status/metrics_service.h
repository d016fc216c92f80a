/* The metrics of services. */
#pragma once

#include "status/view.h"
#include "status/writer.h"

void metrics_write_services(const struct view *view, struct writer *out);
