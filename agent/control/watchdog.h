/* Signs of life to systemd, sent only while every worker's loop turns. The control loop sends them,
 * so it turns too. */
#pragma once

#include "worker/worker.h"

#include <stddef.h>

#include <uv.h>

struct watchdog;

/* Begins to ping the workers, four times in each `interval_ms`. The workers must outlive it.
 * Returns NULL when memory is out. */
struct watchdog *watchdog_start(uv_loop_t *loop, struct worker *const *workers, size_t n_workers,
                                uint64_t interval_ms);

/* The loop must turn once more for the memory to be freed. Accepts NULL; returns NULL. */
struct watchdog *watchdog_stop(struct watchdog *watchdog);
