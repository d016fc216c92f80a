/* Whether what answers speaks TLS at all. */
#pragma once

#include "base/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first bytes of a stream; zero before any came. */
struct sniff {
    uint8_t head[2];
    size_t len;
};

/* Takes the next bytes of the stream in. False as soon as they cannot be TLS: a record begins with
 * a content type of 20 to 24 and a version of 3.x (RFC 8446 section 5.1). */
bool sniff_is_tls(struct sniff *sniff, const uint8_t *bytes, size_t len);

/* Says `not_tls`, with as much as can be shown of what was answered instead. */
void sniff_explain(const uint8_t *bytes, size_t len, struct failure *ret_failure);
