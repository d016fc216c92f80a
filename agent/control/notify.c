#include "control/notify.h"

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/parse.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How long a manager that does not read may hold us up. */
#define PATIENCE_S          5 /* that we have started */
#define SERVING_PATIENCE_US 200000

/* The address in NOTIFY_SOCKET: a path, or an abstract name that begins with "@". */
static int manager_address(struct addr *ret_addr)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || (name[0] != '/' && name[0] != '@') || addr_from_path(name, ret_addr) < 0) {
        return -1;
    }
    if (name[0] == '@') {
        ret_addr->un.sun_path[0] = '\0';
        ret_addr->len--; /* an abstract name has no final NUL */
    }
    return 0;
}

static int connect_manager(void)
{
    struct addr manager;
    if (manager_address(&manager) < 0) {
        return -1;
    }
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &manager.sa, manager.len) < 0) {
        return -1;
    }
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return cleanup_steal_fd(&fd);
}

/* What is told while we serve must not hold up the control loop for long. */
static void tell(const char *state, int flags)
{
    static const struct timeval patience = {.tv_usec = SERVING_PATIENCE_US};
    static int manager = -1;
    if (manager < 0) {
        manager = connect_manager();
    }
    if (manager >= 0) {
        (void)send(manager, state, strlen(state), MSG_NOSIGNAL | flags);
        setsockopt(manager, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    }
}

void notify_ready(const char *status)
{
    char state[256];
    snprintf(state, sizeof(state), "READY=1\nSTATUS=%s", status);
    tell(state, 0);
}

/* systemd 253 and newer tells by the time that this is the answer to its own signal. */
void notify_reloading(void)
{
    struct timespec now;
    char state[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    tell(state, 0);
}

void notify_stopping(void)
{
    tell("STOPPING=1", 0);
}

void notify_alive(void)
{
    tell("WATCHDOG=1", MSG_DONTWAIT);
}

uint64_t notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t wanted_us, wanted_pid;
    if (usec == NULL || parse_number(usec, 1, UINT64_MAX, &wanted_us) < 0) {
        return 0;
    }
    bool is_other = pid != NULL && (parse_number(pid, 1, UINT64_MAX, &wanted_pid) < 0 ||
                                    wanted_pid != (uint64_t)getpid());
    return is_other ? 0 : wanted_us / 1000;
}
