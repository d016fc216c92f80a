/* What GET /status and POST /reload answer, as mtls-agent-metrics(7) has it. The texts are ASCII,
 * end with a newline, and are freed by the caller. NULL when memory is out. */
#pragma once

#include "status/view.h"

char *json_status(const struct view *view);

char *json_reload(const struct view_reload *reload);
