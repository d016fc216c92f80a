/* What an operator should look into though connections may still be good, and the process. */
#pragma once

#include "cli/document.h"
#include "cli/sheet.h"

/* Certificates, CAs and CRLs that end soon or whose files cannot be used, what the canary holds
 * back, and a reload that was refused. Nothing when there is nothing, else with an empty line
 * before. */
void attention_print(const struct document *document, const struct sheet *sheet);

/* The process and its configuration. */
void attention_print_process(const struct document *document, const struct sheet *sheet);
