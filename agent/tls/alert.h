/* What TLS alerts and GnuTLS's errors mean to an operator. */
#pragma once

#include "base/failure.h"
#include "tls/standing.h"

#include <stdbool.h>

#include <gnutls/gnutls.h>

/* What is known at the moment of the failure. */
struct alert_context {
    bool asked;               /* the backend asked for a client certificate */
    bool sent;                /* ours went out: the backend accepts signatures of our key's type */
    bool confirmed;           /* the backend had accepted us */
    struct standing standing; /* with n_own 0 where we have no certificate to present */
};

/* Turns an alert that the peer sent (RFC 8446 section 6.2) into a failure. Where the alert only
 * says that our certificate was refused, and what is wrong with it is plain from here, that is the
 * reason. */
void alert_explain(gnutls_alert_description_t alert, const struct alert_context *context,
                   struct failure *ret_failure);

/* Turns a GnuTLS error that is ours to name into a failure. */
void alert_explain_error(int error, struct failure *ret_failure);

/* The alert that tells the peer why we refused it. */
gnutls_alert_description_t alert_for(enum reason reason);
