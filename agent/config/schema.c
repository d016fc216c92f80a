#include "config/schema.h"

#include "config/config.h"
#include "config/value.h"
#include "config/value_crl.h"
#include "config/value_net.h"
#include "config/value_tls.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where a value is kept, and where a list is. */
#define IN(type, member)                                                                           \
    {                                                                                              \
        .offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)     \
    }
#define LIST_IN(type, member)                                                                      \
    {                                                                                              \
        .offset = offsetof(struct type, member), .size = sizeof(*((struct type *)NULL)->member),   \
        .count = offsetof(struct type, n_##member)                                                 \
    }

#define DURATIONS .min = 1, .max = 100 * UINT64_C(86400000)

/* What GnuTLS takes; with more, every handshake would fail. */
#define ALPN_BYTES 31
#define ALPN_ITEMS 8

/* Of lists whose every item costs a socket or a download. */
#define FEW_ITEMS 8

static const struct schema_word auto_word[] = {{"auto", 0, false}, {0}};
static const struct schema_word off_word[] = {{"off", 0, false}, {0}};
static const struct schema_word system_word[] = {{"system", 0, false}, {0}};
static const struct schema_word level_words[] = {{"error", LEVEL_ERROR, false},
                                                 {"warning", LEVEL_WARNING, false},
                                                 {"info", LEVEL_INFO, false},
                                                 {"debug", LEVEL_DEBUG, false},
                                                 {0}};
static const struct schema_word format_words[] = {{"text", LOG_TEXT, false},
                                                  {"json", LOG_JSON, false},
                                                  {0}};
static const struct schema_word mode_words[] = {{"mtls", true, false}, {"tls", false, false}, {0}};
static const struct schema_word version_words[] = {{"1.2", 12, false}, {"1.3", 13, false}, {0}};
static const struct schema_word truncation_words[] = {{"reset", CONFIG_TRUNCATION_RESET, false},
                                                      {"eof", CONFIG_TRUNCATION_EOF, false},
                                                      {0}};
static const struct schema_word balance_words[] = {{"failover", CONFIG_BALANCE_FAILOVER, false},
                                                   {"round-robin", 0, true},
                                                   {"least-connections", 0, true},
                                                   {0}};

static const struct schema_word canary_words[] = {{"yes", CONFIG_CANARY_YES, false},
                                                  {"no", CONFIG_CANARY_NO, false},
                                                  {"require", CONFIG_CANARY_REQUIRE, false},
                                                  {0}};
static const struct schema_word prewarm_words[] = {{"auto", CONFIG_PREWARM_AUTO, false}, {0}};
static const struct schema_word retire_words[] = {{"never", CONFIG_RETIRE_NEVER, false},
                                                  {"drain", CONFIG_RETIRE_DRAIN, false},
                                                  {0}};

static const struct schema_key keys[] = {
    {SCHEMA_AGENT, "include", &value_include, .is_list = true,
     .help = "more files to read; * ? [ ] match, relative to the file in which it stands"},
    {SCHEMA_AGENT, "workers", &value_workers, IN(config_agent, workers), "auto", 1, 256, auto_word,
     .help = "threads that carry traffic; auto: one for each CPU the process may use"},
    {SCHEMA_AGENT, "log_level", &value_word, IN(config_agent, log_level), "info",
     .words = level_words, .help = "the least important lines that are written"},
    {SCHEMA_AGENT, "log_format", &value_word, IN(config_agent, log_format), "text",
     .words = format_words, .help = "text is logfmt"},
    {SCHEMA_AGENT, "status", &value_net_status, LIST_IN(config_agent, status),
     "unix:/run/mtls-agent/status.sock", .is_list = true, .max_items = FEW_ITEMS,
     .help = "where the status endpoint listens: unix:/PATH, loopback IP:PORT, or off"},
    {SCHEMA_AGENT, "shutdown_timeout", &value_duration, IN(config_agent, shutdown_timeout_ms),
     "30s", DURATIONS, .help = "how long connections may run on after SIGTERM"},

    {SCHEMA_CERTIFICATE, "cert", &value_file, IN(config_certificate, cert),
     .example = "/etc/mtls-agent/pki/client.crt",
     .help = "PEM file: our certificate first, then its intermediates"},
    {SCHEMA_CERTIFICATE, "key", &value_file, IN(config_certificate, key),
     .example = "/etc/mtls-agent/pki/client.key", .help = "PEM file: the private key"},
    {SCHEMA_CERTIFICATE, "pkcs12", &value_file, IN(config_certificate, pkcs12),
     .example = "/etc/mtls-agent/pki/client.pfx",
     .help = "PKCS#12 file (.pfx, .p12): instead of cert and key"},
    {SCHEMA_CERTIFICATE, "password_file", &value_file, IN(config_certificate, password_file),
     .help = "file with the password of an encrypted key or of the PKCS#12 file"},

    {SCHEMA_SERVICE, "listen", &value_net_listen, LIST_IN(config_service, listens), .is_list = true,
     .is_required = true, .example = "127.0.0.1:9001",
     .help = "where callers connect: IPV4:PORT, [IPV6]:PORT, unix:/PATH or systemd:NAME"},
    {SCHEMA_SERVICE, "expose", &value_bool, IN(config_service, expose), "no",
     .help = "allow a listen that other hosts can reach"},
    {SCHEMA_SERVICE, "socket_user", &value_net_user, IN(config_service, socket_user),
     .help = "owner of the UNIX sockets in listen; default: the agent's user"},
    {SCHEMA_SERVICE, "socket_group", &value_net_group, IN(config_service, socket_group),
     .help = "group of the UNIX sockets in listen; default: the agent's group"},
    {SCHEMA_SERVICE, "socket_mode", &value_net_mode, IN(config_service, socket_mode), "0600",
     .max = 0777, .help = "permissions of the UNIX sockets in listen, octal"},
    {SCHEMA_SERVICE, "allow_users", NULL, .help = "local users that may call"},
    {SCHEMA_SERVICE, "allow_groups", NULL, .help = "local groups that may call"},

    {SCHEMA_SERVICE, "address", &value_net_address, LIST_IN(config_service, addresses),
     .is_list = true, .is_required = true, .example = "api.example.com:443",
     .help = "the backends: DOMAIN:PORT, IPV4:PORT or [IPV6]:PORT, tried in this order"},
    {SCHEMA_SERVICE, "balance", &value_word, IN(config_service, balance), "failover",
     .words = balance_words, .help = "how connections are spread over the addresses"},
    {SCHEMA_SERVICE, "health_check", NULL, .help = "how backends are tried ahead of demand"},
    {SCHEMA_SERVICE, "health_interval", NULL, .help = "time between two health checks"},
    {SCHEMA_SERVICE, "health_rise", NULL, .help = "good checks that bring a backend back"},
    {SCHEMA_SERVICE, "health_fall", NULL, .help = "bad checks that take a backend out"},
    {SCHEMA_SERVICE, "proxy_protocol", NULL, .help = "tell the backend who the caller is"},

    {SCHEMA_SERVICE, "tls_mode", &value_word, IN(config_service, presents_certificate), "mtls",
     .words = mode_words, .help = "mtls presents the certificate, tls does not"},
    {SCHEMA_SERVICE, "certificate", &value_tls_certificate, IN(config_service, certificate),
     .help = "the [certificate NAME] that is presented"},
    {SCHEMA_SERVICE, "ca", &value_file, IN(config_service, ca), .words = system_word,
     .is_required = true, .example = "/etc/mtls-agent/pki/ca.crt",
     .help = "PEM file with the CAs that the backend's chain must lead to, or system"},
    {SCHEMA_SERVICE, "sni", &value_tls_sni, IN(config_service, sni),
     .help = "the server name sent to the backend, or off; default: the host in address"},
    {SCHEMA_SERVICE, "verify_name", &value_tls_verify_name, LIST_IN(config_service, verify_names),
     .is_list = true,
     .help = "dns:, ip: or uri: names, one of which the backend's certificate must have"},
    {SCHEMA_SERVICE, "allow_common_name", &value_bool, IN(config_service, allow_common_name), "no",
     .help = "accept the common name of a certificate that has no subjectAltName"},
    {SCHEMA_SERVICE, "pin", &value_tls_pin, LIST_IN(config_service, pins), .is_list = true,
     .help = "sha256:BASE64 of the backend's public key, checked besides chain and name"},
    {SCHEMA_SERVICE, "crl", &value_crl, LIST_IN(config_service, crls), .is_list = true,
     .max_items = CONFIG_CRLS_MAX,
     .help = "files or http:, https: URLs of the revocation lists of the backend's CAs"},
    {SCHEMA_SERVICE, "alpn", &value_tls_alpn, LIST_IN(config_service, alpn), .min = 1,
     .max = ALPN_BYTES, .is_list = true, .max_items = ALPN_ITEMS,
     .help = "application protocols offered to the backend"},
    {SCHEMA_SERVICE, "tls_min", &value_word, IN(config_service, tls_min), "1.2",
     .words = version_words, .help = "the oldest TLS version"},
    {SCHEMA_SERVICE, "tls_max", &value_word, IN(config_service, tls_max), "1.3",
     .words = version_words, .help = "the newest TLS version"},
    {SCHEMA_SERVICE, "priority", &value_tls_priority, IN(config_service, priority),
     .help = "a GnuTLS priority string, for experts"},
    {SCHEMA_SERVICE, "session_reuse", &value_bool, IN(config_service, session_reuse), "yes",
     .help = "resume TLS sessions, which spares most of a handshake"},
    {SCHEMA_SERVICE, "prewarm", &value_number, IN(config_service, prewarm), "0", 0, 1000,
     prewarm_words,
     .help = "verified sessions that each worker keeps ready; auto: as many as callers need"},
    {SCHEMA_SERVICE, "prewarm_max_age", &value_duration, IN(config_service, prewarm_max_age_ms),
     "30s", .min = 1000, .max = 3600000,
     .help = "no session is handed out that is older; below the backend's idle limit"},

    {SCHEMA_SERVICE, "connect_timeout", &value_duration, IN(config_service, connect_timeout_ms),
     "5s", DURATIONS, .help = "all attempts together: waiting for DNS, and TCP"},
    {SCHEMA_SERVICE, "handshake_timeout", &value_duration, IN(config_service, handshake_timeout_ms),
     "5s", DURATIONS, .help = "one attempt, from TCP connect to verified"},
    {SCHEMA_SERVICE, "idle_timeout", &value_duration, IN(config_service, idle_timeout_ms), "10m",
     DURATIONS, off_word, .help = "no byte either way"},
    {SCHEMA_SERVICE, "close_timeout", &value_duration, IN(config_service, close_timeout_ms), "10s",
     DURATIONS, .help = "after one side has finished"},
    {SCHEMA_SERVICE, "truncation", &value_word, IN(config_service, truncation), "reset",
     .words = truncation_words,
     .help = "what the caller gets when the backend ends without close_notify"},
    {SCHEMA_SERVICE, "max_connections", &value_number, IN(config_service, max_connections), "10000",
     1, 1000000, .help = "beyond, callers are reset at once"},
    {SCHEMA_SERVICE, "max_lifetime", &value_duration, IN(config_service, max_lifetime_ms), "off",
     DURATIONS, off_word, .help = "end a connection after this long"},

    {SCHEMA_SERVICE, "canary", &value_word, IN(config_service, canary), "yes",
     .words = canary_words,
     .help = "try a new certificate or CA on the backends before it replaces the old one"},
    {SCHEMA_SERVICE, "retire", &value_duration, IN(config_service, retire_ms), "never", DURATIONS,
     retire_words, .help = "when to end connections whose certificate or CA was replaced"},
};

static const char *const kind_words[SCHEMA_KINDS] = {[SCHEMA_AGENT] = "agent",
                                                     [SCHEMA_CERTIFICATE] = "certificate",
                                                     [SCHEMA_SERVICE] = "service",
                                                     [SCHEMA_DEFAULTS] = "defaults"};

const char *schema_kind_word(enum schema_kind kind)
{
    return kind_words[kind];
}

bool schema_kind_is_named(enum schema_kind kind)
{
    return kind == SCHEMA_CERTIFICATE || kind == SCHEMA_SERVICE;
}

int schema_find_kind(const char *word, enum schema_kind *ret_kind)
{
    for (int kind = 0; kind < SCHEMA_KINDS; kind++) {
        if (strcmp(word, kind_words[kind]) == 0) {
            *ret_kind = (enum schema_kind)kind;
            return 0;
        }
    }
    return -1;
}

const struct schema_key *schema_keys(size_t *ret_n)
{
    *ret_n = COUNT(keys);
    return keys;
}

const struct schema_key *schema_find(enum schema_kind kind, const char *name)
{
    for (size_t i = 0; i < COUNT(keys); i++) {
        if (schema_belongs(&keys[i], kind) && strcmp(keys[i].name, name) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

bool schema_belongs(const struct schema_key *key, enum schema_kind kind)
{
    return key->kind == (kind == SCHEMA_DEFAULTS ? SCHEMA_SERVICE : kind);
}
