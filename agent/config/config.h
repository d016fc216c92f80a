/* The configuration as the operator wrote it, validated and with every default filled in. Immutable
 * once loaded. It names files; it does not read those that certificates name (see certs/). */
#pragma once

#include "base/addr.h"
#include "base/log.h"
#include "base/name.h"
#include "base/problems.h"
#include "base/refs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A file that a key names: its path with ${CREDENTIALS_DIRECTORY} replaced, and where that was
 * said. */
struct config_file {
    char *path; /* NULL: not given */
    struct place place;
};

/* One `status` */
struct config_status {
    struct addr addr; /* len 0: off */
    struct place place;
    bool is_standard; /* nobody asked for it */
};

/* [agent] */
struct config_agent {
    unsigned workers; /* 0: auto */
    struct place workers_place;
    enum log_level log_level;
    enum log_format log_format;
    uint64_t shutdown_timeout_ms;
    struct config_status *status;
    size_t n_status;
};

/* [certificate NAME] */
struct config_certificate {
    char *name;
    struct place place;
    struct config_file cert, key; /* both, or else: */
    struct config_file pkcs12;
    struct config_file password_file;
};

/* One `listen` */
struct config_listen {
    struct addr addr; /* len 0 where systemd holds the socket */
    char *systemd;    /* the name by which it hands the socket over, or NULL */
    struct place place;
};

/* Enough for any text that config_listen_format() writes, and its final NUL. */
#define CONFIG_LISTEN_TEXT_MAX 272

/* One `address` */
struct config_address {
    char *host; /* normalised DNS name, or an IP literal without brackets */
    uint16_t port;
    bool is_literal;
    struct name name; /* of the host, for verification */
    struct place place;
};

enum config_sni { CONFIG_SNI_HOST, CONFIG_SNI_NAME, CONFIG_SNI_OFF };
enum config_balance { CONFIG_BALANCE_FAILOVER };
enum config_truncation { CONFIG_TRUNCATION_RESET, CONFIG_TRUNCATION_EOF };

/* What has to be known of a backend before a new identity or CA replaces the one that it takes. */
enum config_canary {
    CONFIG_CANARY_YES,     /* that it does not refuse */
    CONFIG_CANARY_NO,      /* nothing */
    CONFIG_CANARY_REQUIRE, /* that it accepts */
};

/* Special values of `retire`. */
#define CONFIG_RETIRE_NEVER UINT64_MAX
#define CONFIG_RETIRE_DRAIN UINT64_C(0)

/* The special value of `prewarm`. */
#define CONFIG_PREWARM_AUTO UINT32_MAX

#define CONFIG_CRLS_MAX 8

/* One `crl` */
struct config_crl {
    char *path; /* the file, or where what was downloaded is kept */
    char *url;  /* NULL: a file of the operator's */
    struct place place;
};

/* A SHA-256 of a public key. */
struct config_pin {
    uint8_t sha256[32];
};

/* [service NAME], with [defaults] and the built-in defaults filled in. A timeout of 0 is off. */
struct config_service {
    char *name;
    struct place place;

    struct config_listen *listens;
    size_t n_listens;
    bool expose;
    uid_t socket_user;  /* (uid_t)-1: ours */
    gid_t socket_group; /* (gid_t)-1: ours */
    mode_t socket_mode;

    struct config_address *addresses;
    size_t n_addresses;
    enum config_balance balance;

    bool presents_certificate;                    /* tls_mode = mtls */
    const struct config_certificate *certificate; /* NULL when none is presented */
    struct config_file ca;                        /* the path "system": the system's CAs */
    enum config_sni sni;
    char *sni_name;            /* CONFIG_SNI_NAME */
    struct name *verify_names; /* none: `sni`, else the host */
    size_t n_verify_names;
    bool allow_common_name;
    struct config_pin *pins;
    size_t n_pins;
    struct config_crl *crls;
    size_t n_crls;
    char **alpn;
    size_t n_alpn;
    unsigned tls_min, tls_max; /* 12 or 13 */
    char *priority;            /* NULL: ours */
    struct place priority_place;
    bool session_reuse;
    unsigned prewarm; /* sessions, of each worker; or its special value */
    uint64_t prewarm_max_age_ms;

    uint64_t connect_timeout_ms, handshake_timeout_ms, idle_timeout_ms, close_timeout_ms;
    uint64_t max_lifetime_ms;
    uint64_t max_connections;
    enum config_truncation truncation;

    enum config_canary canary;
    uint64_t retire_ms; /* or one of its special values */
};

struct config {
    struct refs refs;
    struct config_agent agent;
    struct config_certificate *certificates;
    size_t n_certificates;
    struct config_service *services;
    size_t n_services;
    char **files; /* every file read, the first is the main one; places point here */
    size_t n_files;
};

/* Reads `path` and what it includes. Notes every problem it finds, with its place; the places stay
 * valid as long as the returned configuration. Returns NULL only when memory is out; a
 * configuration with errors noted must not be used for anything but printing them. The caller frees
 * it. */
struct config *config_load(const char *path, struct problems *problems);

struct config *config_ref(struct config *config);

/* Gives a reference back, and frees with the last. Accepts NULL; returns NULL. */
struct config *config_free(struct config *config);

/* Writes a listen as the configuration does: "127.0.0.1:9001", "unix:/path" or "systemd:name".
 * Returns `text`. */
const char *config_listen_format(const struct config_listen *listen,
                                 char text[static CONFIG_LISTEN_TEXT_MAX]);
