/* The names in a certificate, and whether they are the wanted ones. */
#pragma once

#include "base/failure.h"
#include "base/name.h"

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/x509.h>

/* Checks that one of `names` is in the certificate's subjectAltName, by its own kind: dNSName with
 * wildcards in the left-most label (RFC 6125 section 6.4.3), iPAddress byte by byte, and
 * uniformResourceIdentifier to the letter; a SPIFFE ID must be the only URI (SPIFFE X.509-SVID
 * section 2). The common name counts only when `allow_common_name` and there is no subjectAltName
 * at all. Returns 0, or -1 with `cert_name_mismatch` or `cert_no_san` and both lists of names. */
int san_check(gnutls_x509_crt_t crt, const struct name *names, size_t n_names,
              bool allow_common_name, struct failure *ret_failure);
