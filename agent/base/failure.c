#include "base/failure.h"

#include <stdarg.h>
#include <stdio.h>

void failure_set(struct failure *failure, enum reason reason, const char *format, ...)
{
    failure->reason = reason;
    failure->by_peer = false;

    va_list args;
    va_start(args, format);
    vsnprintf(failure->detail, sizeof(failure->detail), format, args);
    va_end(args);
}

void failure_set_by_peer(struct failure *failure, enum reason reason, const char *format, ...)
{
    failure->reason = reason;
    failure->by_peer = true;

    va_list args;
    va_start(args, format);
    vsnprintf(failure->detail, sizeof(failure->detail), format, args);
    va_end(args);
}
