/* Why GnuTLS did not accept a chain: its status bits turned into one reason, with the evidence that
 * an operator needs. */
#pragma once

#include "base/failure.h"
#include "certs/trust.h"

#include <gnutls/gnutls.h>

/* Explains the status, which is not 0, of the chain of `n` certificates that the backend sent, the
 * leaf first, as judged by `trust`. The most telling reason wins: who issued it comes before dates,
 * dates before strength. */
void refusal_explain(const gnutls_datum_t *chain, unsigned n, unsigned status,
                     const struct trust *trust, struct failure *ret_failure);
