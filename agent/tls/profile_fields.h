/* A profile's fields: for the room tls/ only. */
#pragma once

#include "base/refs.h"
#include "tls/pin.h"
#include "tls/profile.h"

#include <gnutls/gnutls.h>

struct profile {
    struct refs refs;
    struct identity *identity;
    struct trust *trust;
    gnutls_priority_t priority;
    enum profile_sni sni;
    char *sni_name;
    struct name *names;
    size_t n_names;
    bool allow_common_name;
    uint8_t (*pins)[PIN_BYTES];
    size_t n_pins;
    gnutls_datum_t *alpn;
    unsigned n_alpn;
};
