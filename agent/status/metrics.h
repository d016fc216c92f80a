/* The metrics of a view, as mtls-agent-metrics(7) has them. */
#pragma once

#include "status/view.h"
#include "status/writer.h"

void metrics_write(const struct view *view, struct writer *out);
