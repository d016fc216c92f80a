/* Values about TLS: who we are, whom we expect, and how we speak. All are keys of a service. */
#pragma once

#include "config/value.h"

extern const struct value_type value_tls_certificate; /* const struct config_certificate * */
extern const struct value_type value_tls_sni;         /* enum config_sni, and sni_name */
extern const struct value_type value_tls_verify_name; /* struct name */
extern const struct value_type value_tls_pin;         /* struct config_pin */
extern const struct value_type value_tls_alpn;        /* char * */
extern const struct value_type value_tls_priority;    /* char *, and priority_place */

/* Lists the names of the certificates there are, for a message: "a, b" or, when there are none,
 * what to do. Returns `text`. */
const char *value_tls_known(const struct config *config, char *text, size_t size);
