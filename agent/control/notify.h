/* What we tell systemd: the protocol of sd_notify(3), spoken over one socket that is opened once.
 * sd_notify() itself opens one for each message and so falls silent when descriptors run out, just
 * when the watchdog must not. When not started by systemd these do nothing. */
#pragma once

#include <stdint.h>

void notify_ready(const char *status); /* also after notify_reloading() */
void notify_reloading(void);
void notify_stopping(void);
void notify_alive(void);

/* Milliseconds within which systemd wants a sign of life; 0 when it wants none. */
uint64_t notify_watchdog_ms(void);
