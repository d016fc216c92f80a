/* The names in a certificate's subjectAltName (RFC 5280 section 4.2.1.6), one by one and for
 * people. For the rooms certs/ and tls/ only. */
#pragma once

#include <stddef.h>

#include <gnutls/x509.h>

#define ALTNAME_MAX 1024 /* bytes of one name; a longer one cannot be read */

/* How many names a certificate has, and how many of them are URIs. One that cannot be read may be
 * of any kind: it counts as all that must be alone. */
struct altname_count {
    unsigned all, uri;
};

struct altname_count altname_count(gnutls_x509_crt_t crt);

/* Reads the name with this index. Returns its type, a gnutls_x509_subject_alt_name_t;
 * GNUTLS_E_SHORT_MEMORY_BUFFER for one that is too long; GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE
 * behind the last. `text` ends with a NUL and may hold others. */
int altname_read(gnutls_x509_crt_t crt, unsigned index, char text[static ALTNAME_MAX + 1],
                 size_t *ret_len);

/* Writes the names, "dns:a.example.com, ip:192.0.2.1", cut to `size`: the first eight, and how many
 * more. Returns `text`; "" when there is none. */
const char *altname_format(gnutls_x509_crt_t crt, char *text, size_t size);
