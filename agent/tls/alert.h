/* What TLS alerts and GnuTLS's errors mean to an operator. */
#pragma once

#include "base/failure.h"

#include <stdbool.h>

#include <gnutls/gnutls.h>

/* What is known at the moment of the failure. */
struct alert_context {
    bool asked;     /* the backend asked for a client certificate */
    bool has_one;   /* we have one to present */
    bool sent;      /* and it went out: the backend accepts signatures of our key's type */
    bool confirmed; /* the backend had accepted us */
    bool matched; /* an issuer of ours is among those that the backend accepts, or it named none */
};

/* Turns an alert that the peer sent (RFC 8446 section 6.2) into a failure. */
void alert_explain(gnutls_alert_description_t alert, const struct alert_context *context,
                   struct failure *ret_failure);

/* Turns a GnuTLS error that is ours to name into a failure. */
void alert_explain_error(int error, struct failure *ret_failure);

/* The alert that tells the peer why we refused it. */
gnutls_alert_description_t alert_for(enum reason reason);
