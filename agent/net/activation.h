/* Listening sockets that systemd, or whoever started us, opened and handed over: the protocol of
 * sd_listen_fds(3), spoken by ourselves as control/notify.h speaks that of sd_notify(3). They stay
 * open as long as the process; who accepts on them takes duplicates (listener_duplicate()). */
#pragma once

#include "base/addr.h"

#include <stddef.h>

/* Takes what was handed over, once, before there are threads: each descriptor becomes non-blocking
 * and close-on-exec, and the variables LISTEN_… are gone for our children. Does nothing when they
 * are meant for another process. Returns -1 with a clause in `*ret_why` (a constant, or the text of
 * errno) when what they say is not so. */
int activation_take(const char **ret_why);

/* The name of the socket `i`, as FileDescriptorName= gave it; NULL when there are fewer. Several
 * may have the same. */
const char *activation_name(size_t i);

/* Copies the descriptors of that name, at most `max`, and returns how many there are. */
size_t activation_find(const char *name, int *ret_fds, size_t max);

/* Finds out where a socket listens. Returns -1 with a clause in `*ret_why`, such as "is no socket",
 * when it does not listen for streams over TCP or a UNIX socket. */
int activation_inspect(int fd, struct addr *ret_addr, const char **ret_why);
