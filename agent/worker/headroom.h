/* Whether memory is left for an operation of a library that does not survive the want of it. Any
 * other thread may take it at once: the answers hold as long as what others take is small to them.
 */
#pragma once

#include <stdbool.h>

/* True when as much is free for the calling thread as judging a chain of certificates may need. */
bool headroom_is_there(void);

/* True when far more than that is free: enough for several threads that judge at the same time,
 * while a crowd of callers comes in. */
bool headroom_is_ample(void);
