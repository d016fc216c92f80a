/* What can be seen of a running agent, at one moment: put together by the control plane, borrowed
 * by whoever writes it down as metrics, JSON or a page. Nothing here is owned, and nothing is valid
 * for longer than the call it is handed to. */
#pragma once

#include "certs/inspect.h"
#include "config/config.h"
#include "worker/account.h"
#include "worker/endpoints.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* An identity: a [certificate] section. */
struct view_identity {
    const char *name;
    const char *path;                  /* of the certificate, or of the PKCS#12 file */
    const struct inspect_facts *chain; /* in use, leaf first */
    size_t n_chain;
    const char *problem; /* why what the files hold now is not in use; NULL: it is */
};

/* One CRL of a set of CAs. */
struct view_crl {
    const char *source; /* path or URL */
    const char *issuer; /* "" while there is none */
    time_t next_update; /* 0: unknown */
};

/* A file of CAs, with the CRLs that go with it. */
struct view_trust {
    const char *path;
    const struct inspect_facts *cas; /* in use; none for the system's */
    size_t n_cas;
    const struct view_crl *crls;
    size_t n_crls;
    const char *problem; /* as above */
};

enum view_state {
    VIEW_UNUSED,     /* nobody has called it yet */
    VIEW_OK,         /* the last handshake was good */
    VIEW_FAILING,    /* a backend has failed since then */
    VIEW_RESOLVING,  /* DNS has not answered yet */
    VIEW_NO_ADDRESS, /* DNS has failed, and there is no earlier answer */
};

struct view_service {
    const struct config_service *config;
    struct account *account;
    enum view_state state;
    const struct view_identity *identity; /* NULL: none is presented */
    const struct view_trust *trust;
    const struct endpoints *endpoints; /* NULL: not known yet */
    int64_t dns_age_ms;      /* since the last good answer, the oldest of all names; -1: no name, or
                              * no answer */
    const char *dns_failure; /* of the last question; NULL: none */
    const char *held;        /* why a new identity or CA is not in use here, though it is good: what
                              * the canary met; NULL: it is in use */
};

enum view_result { VIEW_RELOAD_NONE, VIEW_RELOAD_OK, VIEW_RELOAD_REFUSED };

struct view {
    /* The process. */
    uint64_t now_ms; /* clock_ms() */
    time_t now;      /* seconds since 1970 */
    time_t started;
    uint64_t started_ms;
    unsigned workers;
    bool is_draining;

    /* Its configuration. */
    const char *file;
    uint64_t generation; /* 1 at the start, one more with each reload, and each change of files,
                          * that was carried out */
    time_t changed;      /* when that was */
    enum view_result reload;
    time_t reloaded;           /* when the last reload was done, or refused */
    const char *const *faults; /* why it was refused: "FILE:LINE: what is wrong" */
    size_t n_faults;

    const struct view_identity *identities;
    size_t n_identities;
    const struct view_trust *trusts; /* a file with other CRLs is another one */
    size_t n_trusts;
    const struct view_service *services; /* in the order of the configuration */
    size_t n_services;
};

/* What came of a reload. */
struct view_reload {
    bool is_ok;                                /* it was applied; else nothing was */
    uint64_t generation;                       /* the one that is in use now */
    size_t added, changed, removed, unchanged; /* services */
    const char *const *faults;                 /* "FILE:LINE: what is wrong; what to do" */
    size_t n_faults;
    const char *const *warnings;
    size_t n_warnings;
};

/* Room for what view_listen() and view_address() write. */
#define VIEW_TEXT_MAX 320

/* The stable word of a state, for example "no_address". */
const char *view_state_word(enum view_state state);

/* True when the service knows at least one address of its backends. */
bool view_has_address(const struct view_service *service);

/* True when it is to keep warm sessions, or has kept any. */
bool view_is_prewarmed(const struct view_service *service);

/* True when every service does, and the agent is not about to stop. */
bool view_is_ready(const struct view *view);

/* The certificate that runs out first; NULL for none. */
const struct inspect_facts *view_first_to_expire(const struct inspect_facts *facts, size_t n);

/* Whole days from now until `when`; negative when that has passed. */
long view_days_left(const struct view *view, time_t when);

/* When the clock_ms() of `ms` was; 0 for 0, which is never. */
time_t view_when(const struct view *view, uint64_t ms);

/* Writes "127.0.0.1:9001", "unix:/path" or "systemd:NAME". Returns `text`. */
const char *view_listen(const struct config_listen *listen, char text[static VIEW_TEXT_MAX]);

/* Writes "api.example.com:443" or "[2001:db8::1]:443". Returns `text`. */
const char *view_address(const struct config_address *address, char text[static VIEW_TEXT_MAX]);
