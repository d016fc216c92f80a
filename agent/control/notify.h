/* What we tell systemd (sd_notify(3)). Without libsystemd, or when not started by systemd, these do
 * nothing. */
#pragma once

#include <stdint.h>

void notify_ready(const char *status);
void notify_stopping(void);
void notify_alive(void);

/* Milliseconds within which systemd wants a sign of life; 0 when it wants none. */
uint64_t notify_watchdog_ms(void);
