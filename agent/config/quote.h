/* Text from a file, made fit for a message. */
#pragma once

#include <stddef.h>

/* Enough for any text that quote_text() writes, and its final NUL. */
#define QUOTE_MAX 160

/* Writes `text` in double quotes, control characters and invalid UTF-8 escaped, and cut with "..."
 * when it is long. Returns `quoted`. */
const char *quote_text(const char *text, char quoted[static QUOTE_MAX]);
