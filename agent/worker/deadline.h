/* A point on the monotonic clock by which something must have happened. */
#pragma once

#include <stdint.h>

#include <uv.h>

typedef void deadline_passed(void *ctx);

struct deadline;

/* Makes a deadline that is not set. Returns NULL when memory is out. */
struct deadline *deadline_new(uv_loop_t *loop, deadline_passed *passed, void *ctx);

/* Sets it, or sets it anew, to `ms` from now; `passed` is called once, and never earlier. */
void deadline_set(struct deadline *deadline, uint64_t ms);

/* Unsets it. */
void deadline_clear(struct deadline *deadline);

/* Unsets and frees it. Accepts NULL; returns NULL. */
struct deadline *deadline_free(struct deadline *deadline);
