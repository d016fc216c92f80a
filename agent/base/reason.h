/* Why a connection ended: one stable word each, the same in log, metrics, status and probe. */
#pragma once

#include <stdbool.h>

/* Who is at fault, or who decided. */
enum side {
    SIDE_LOCAL,        /* the caller, or this agent's operator */
    SIDE_NETWORK,      /* what lies between us and the backend, or the backend's host */
    SIDE_WE_REFUSED,   /* the backend did not pass our trust rules */
    SIDE_THEY_REFUSED, /* the backend did not want us */
    SIDE_CONFIG,       /* our own files or settings */
    SIDE_BY_ALERT,     /* whoever sent the alert; never the answer of reason_side() */
};

/* One row: the constant's name and the word, the side, and what to do. */
/* clang-format off */
#define REASON_TABLE(row)                                                                          \
    row(ok, SIDE_LOCAL, "nothing to do")                                                           \
    row(caller_closed, SIDE_LOCAL, "the caller left before the connection was established")        \
    row(caller_reset, SIDE_LOCAL, "the caller aborted the connection; see the caller's own log")   \
    row(caller_denied, SIDE_LOCAL, "add the caller to allow_users or allow_groups, if it may pass")\
    row(limit_reached, SIDE_LOCAL,                                                                 \
        "see the detail: find out who opens so many, raise that limit, or sign with an EC key")    \
    row(lifetime_reached, SIDE_LOCAL, "max_lifetime ended the connection as configured")           \
    row(retired, SIDE_LOCAL, "`retire` ended the connection as configured; a new one is good")     \
    row(shutting_down, SIDE_LOCAL, "the agent was stopped; raise shutdown_timeout to wait longer") \
    row(dns_failed, SIDE_NETWORK, "check the name in `address` and this host's resolvers")         \
    row(connect_refused, SIDE_NETWORK,                                                             \
        "nothing listens on that port: check the port in `address` and that the backend runs")     \
    row(connect_timeout, SIDE_NETWORK,                                                             \
        "no answer to the TCP connection: check firewalls and routes, or raise connect_timeout")   \
    row(unreachable, SIDE_NETWORK, "check this host's routes and interfaces")                      \
    row(handshake_timeout, SIDE_NETWORK,                                                           \
        "the backend accepted TCP but did not finish TLS: check its load, and that it speaks TLS") \
    row(idle_timeout, SIDE_NETWORK, "no byte moved for idle_timeout; raise it if that is normal")  \
    row(close_timeout, SIDE_NETWORK,                                                               \
        "one side had finished, the other did not follow; raise close_timeout if that is normal")  \
    row(upstream_reset, SIDE_NETWORK, "the backend aborted the connection; see the backend's log") \
    row(upstream_truncated, SIDE_NETWORK,                                                          \
        "the backend's stream ended without close_notify; if it always does, set truncation = eof")\
    row(not_tls, SIDE_NETWORK, "the port does not speak TLS: check the port in `address`")         \
    row(cert_untrusted, SIDE_WE_REFUSED,                                                           \
        "the backend's chain does not lead to the CA in `ca`: check that file and its chain")      \
    row(cert_name_mismatch, SIDE_WE_REFUSED,                                                       \
        "the backend's certificate is for other names: check `address`, `sni` and `verify_name`")  \
    row(cert_no_san, SIDE_WE_REFUSED,                                                              \
        "give the backend a certificate with a subjectAltName, or set allow_common_name = yes")    \
    row(cert_expired, SIDE_WE_REFUSED, "the backend's certificate or its CA must be renewed")      \
    row(cert_not_yet_valid, SIDE_WE_REFUSED,                                                       \
        "check this host's clock, then the start date of the backend's certificate")               \
    row(cert_revoked, SIDE_WE_REFUSED, "the backend's certificate was revoked: it needs a new one")\
    row(cert_status_missing, SIDE_WE_REFUSED,                                                      \
        "have the backend staple an OCSP answer that is current and its own CA's")                 \
    row(cert_purpose, SIDE_WE_REFUSED,                                                             \
        "the certificate is not one for a TLS server: give the backend one that is")               \
    row(cert_weak, SIDE_WE_REFUSED,                                                                \
        "a key or signature in the backend's chain is too weak: reissue it (RSA 2048, SHA-256)")   \
    row(pin_mismatch, SIDE_WE_REFUSED,                                                             \
        "the backend's key is not the pinned one: find out why it changed before changing `pin`")  \
    row(crl_unusable, SIDE_CONFIG,                                                                 \
        "have `crl` name a current list of each CA on the way, as a file or a URL that answers")   \
    row(client_cert_required, SIDE_THEY_REFUSED,                                                   \
        "the backend wants a client certificate: set tls_mode = mtls and `certificate`")           \
    row(client_cert_untrusted, SIDE_THEY_REFUSED,                                                  \
        "the backend does not trust the CA of our certificate: compare it with its CA list")       \
    row(client_cert_expired, SIDE_THEY_REFUSED, "our certificate has run out: renew it")           \
    row(client_cert_revoked, SIDE_THEY_REFUSED, "our certificate was revoked: get a new one")      \
    row(client_cert_unsupported, SIDE_THEY_REFUSED,                                                \
        "our certificate has the wrong purpose, key usage or key type for the backend")            \
    row(client_cert_denied, SIDE_THEY_REFUSED,                                                     \
        "the backend knows our certificate and does not admit it: see its access rules")           \
    row(tls_version, SIDE_BY_ALERT, "no common TLS version: compare tls_min and tls_max")          \
    row(tls_no_common_cipher, SIDE_BY_ALERT,                                                       \
        "no common cipher, group or signature: compare `priority` with the backend's settings")    \
    row(sni_unrecognized, SIDE_BY_ALERT, "the backend does not know this name: check `sni`")       \
    row(tls_alert, SIDE_BY_ALERT, "the backend sent a TLS alert: see the backend's log")           \
    row(tls_protocol, SIDE_BY_ALERT, "the peer broke the TLS protocol: see the backend's log")     \
    row(own_cert_expired, SIDE_CONFIG, "our own certificate has run out: renew it")                \
    row(own_cert_not_yet_valid, SIDE_CONFIG,                                                       \
        "our own certificate is not valid yet: check this host's clock, then its start date")      \
    row(own_key_unusable, SIDE_CONFIG, "our own key could not sign: check `key`")                  \
    row(internal, SIDE_CONFIG, "the agent ran out of something or has a bug: see the detail")
/* clang-format on */

/* Instead of the advice of upstream_truncated, where the backend had said nothing at all. */
#define REASON_ADVICE_MUTE "the backend closed the connection without an answer; see its log"

enum reason {
#define REASON_CONSTANT(word, side, advice) REASON_##word,
    REASON_TABLE(REASON_CONSTANT)
#undef REASON_CONSTANT
        REASON_COUNT
};

/* The stable word, for example "cert_expired". */
const char *reason_word(enum reason reason);

/* The reason's side. `by_peer` tells who sent the alert, for the reasons where that decides. */
enum side reason_side(enum reason reason, bool by_peer);

/* What to do about it: one sentence without a full stop. */
const char *reason_advice(enum reason reason);

/* The stable word of a side, for example "they_refused". */
const char *reason_side_word(enum side side);
