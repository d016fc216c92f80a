/* How one service speaks TLS: identity, trust anchors, names and limits, immutable and shared by
 * reference count. Every session of the service is made from it. */
#pragma once

#include "base/name.h"
#include "certs/identity.h"
#include "certs/trust.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct profile;

enum profile_sni { PROFILE_SNI_HOST, PROFILE_SNI_NAME, PROFILE_SNI_OFF };

/* What a profile is made from. Everything is copied or referenced. */
struct profile_options {
    struct identity *identity; /* NULL: present no certificate */
    struct trust *trust;
    enum profile_sni sni; /* HOST: the host of the endpoint, unless that is an IP literal */
    const char *sni_name;
    const struct name *names; /* one must be in the certificate; none: `sni_name`, else the host */
    size_t n_names;
    bool allow_common_name;
    const uint8_t (
        *pins)[32]; /* SHA-256 of a SubjectPublicKeyInfo; one must match, if any are given */
    size_t n_pins;
    const char *const *alpn;
    size_t n_alpn;
    unsigned tls_min, tls_max; /* 12 or 13 */
    const char *priority;      /* a GnuTLS priority string; NULL: ours */
};

/* Makes a profile and returns a reference. Returns NULL with a clause in `*ret_why` (a constant)
 * when the priority string is bad or memory is out. */
struct profile *profile_new(const struct profile_options *options, const char **ret_why);

/* Tells whether a profile could be made with this priority string. Returns -1 as profile_new(). */
int profile_check_priority(const char *priority, const char **ret_why);

/* What it presents, NULL: nothing; and whom it trusts. */
struct identity *profile_identity(const struct profile *profile);
struct trust *profile_trust(const struct profile *profile);

/* True when the certificate that it presents is out of date. */
bool profile_has_run_out(const struct profile *profile, time_t now);

/* True when a full handshake takes a signature that takes long. */
bool profile_signs_slowly(const struct profile *profile);

struct profile *profile_ref(struct profile *profile);
struct profile *profile_unref(struct profile *profile); /* accepts NULL; returns NULL */
