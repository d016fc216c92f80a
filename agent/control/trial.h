/* One trial of a canary: its addresses one after the other, at each the new and, where that is
 * refused, the old. */
#pragma once

#include "control/canary.h"
#include "worker/scratch.h"

#include <uv.h>

struct trial;

/* Called once, and not after trial_cancel(), which it may call. What was found is in the canary's
 * trial. */
typedef void trial_done(void *ctx, struct trial *trial);

/* Begins to fill in `report`, which must outlive this, and so does what it names; what has not been
 * found yet reads as CANARY_UNKNOWN at any time. Returns NULL, with that reason in the report, when
 * there is no address or memory is out. Never calls `done` before it returns. */
struct trial *trial_start(uv_loop_t *loop, struct scratch *scratch, struct canary_trial *report,
                          trial_done *done, void *ctx);

/* Ends the trial and frees it. Accepts NULL; returns NULL. */
struct trial *trial_cancel(struct trial *trial);
