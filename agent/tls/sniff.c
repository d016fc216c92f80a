#include "tls/sniff.h"

#include <ctype.h>

#define SHOWN_MAX 48 /* bytes of an answer in a message, the final NUL included */

bool sniff_is_tls(struct sniff *sniff, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len && sniff->len < sizeof(sniff->head); i++) {
        sniff->head[sniff->len++] = bytes[i];
    }
    bool type_fits = sniff->len < 1 || (sniff->head[0] >= 20 && sniff->head[0] <= 24);
    bool version_fits = sniff->len < 2 || sniff->head[1] == 3;
    return type_fits && version_fits;
}

void sniff_explain(const uint8_t *bytes, size_t len, struct failure *ret_failure)
{
    char shown[SHOWN_MAX];
    size_t n = 0;
    while (n < len && n < sizeof(shown) - 1 && isprint(bytes[n])) {
        shown[n] = (char)bytes[n];
        n++;
    }
    shown[n] = '\0';
    failure_set(ret_failure, REASON_not_tls,
                n > 0 ? "it answered \"%s\"" : "it answered bytes that are not TLS%s", shown);
}
