#include "config/quote.h"

#include "base/escape.h"

#include <string.h>

static const char ending[] = "...\"";

const char *quote_text(const char *text, char quoted[static QUOTE_MAX])
{
    size_t len = 0;
    quoted[len++] = '"';
    while (*text != '\0') {
        char piece[ESCAPE_MAX];
        text += escape_next(text, ESCAPE_TEXT, piece);
        size_t n = strlen(piece);
        if (len + n + sizeof(ending) > QUOTE_MAX) {
            memcpy(quoted + len, ending, sizeof(ending));
            return quoted;
        }
        memcpy(quoted + len, piece, n);
        len += n;
    }
    memcpy(quoted + len, "\"", 2);
    return quoted;
}
