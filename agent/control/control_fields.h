/* The control plane's fields, for the files that make it up: control.c (start, signals and end),
 * changeover.c (from one snapshot to the next), reload.c (what leads to that), upkeep.c (what time
 * brings) and outlook.c (what can be seen of it). All of it belongs to the control thread. */
#pragma once

#include "control/control.h"
#include "control/crew.h"
#include "control/crls.h"
#include "control/digest.h"
#include "control/doors.h"
#include "control/filewatch.h"
#include "control/ledger.h"
#include "control/outlook.h"
#include "control/publish.h"
#include "control/reload.h"
#include "control/resolver.h"
#include "control/upkeep.h"
#include "control/watchdog.h"

#include <stdint.h>
#include <time.h>

#include <uv.h>

enum control_state {
    CONTROL_STARTING,
    CONTROL_RUNNING,
    CONTROL_DRAINING,
    CONTROL_ENDED,
};

enum { CONTROL_ON_TERM, CONTROL_ON_INT, CONTROL_ON_HUP, CONTROL_SIGNALS };

struct control {
    const char *file; /* the configuration's */
    enum control_state state;
    int status; /* what the process will exit with */
    time_t started;
    uint64_t started_ms;

    struct snapshot *snapshot; /* in use; owned */
    uint64_t generation;       /* as view.h has it */
    time_t changed;            /* when that was */

    uv_loop_t loop;
    uv_signal_t signals[CONTROL_SIGNALS];
    uv_async_t news;     /* what a worker tells of has */
    uv_timer_t deadline; /* of draining */
    uv_work_t first_work;

    struct crew *crew;
    struct doors *doors;
    struct ledger ledger;
    struct digest *digest;
    struct resolver *resolver;
    struct reload *reload;
    struct filewatch *filewatch;
    struct crls *crls;
    struct outlook *outlook;
    struct publish *publish;
    struct upkeep *upkeep;
    struct watchdog *watchdog;
};
