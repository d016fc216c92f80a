/* What went wrong with a connection, with the evidence: filled in where it is found, told once
 * where the service and the peer are known. */
#pragma once

#include "base/reason.h"

#include <stdbool.h>

#define FAILURE_DETAIL_MAX 512 /* bytes, the final NUL included */

struct failure {
    enum reason reason;
    bool by_peer; /* the other side decided: it sent the alert */
    char detail[FAILURE_DETAIL_MAX];
};

/* Sets a failure of ours, or one that the peer decided. The format makes one clause without a full
 * stop; a longer text is cut. */
void failure_set(struct failure *failure, enum reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void failure_set_by_peer(struct failure *failure, enum reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
