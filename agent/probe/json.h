/* What a probe has found, as JSON (RFC 8259) in ASCII; its keys are in mtls-agent-probe(8). */
#pragma once

#include "probe/report.h"

#include <stdio.h>

/* Prints one document and a line's end. Every key is always there, in a fixed order. Bytes that are
 * no UTF-8 become U+FFFD. Returns -1 when memory is out or the output cannot be written. */
int json_print(const struct report *report, FILE *out);

/* jansson's version at run time. */
const char *json_library_version(void);
