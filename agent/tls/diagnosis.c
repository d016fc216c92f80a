#include "tls/diagnosis.h"

#include "base/cut.h"
#include "tls/alert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void add(struct failure *failure, const char *part)
{
    cut_append(failure->detail, sizeof(failure->detail), part);
}

void diagnosis_of_alert(struct tls *tls)
{
    struct alert_context context = {
        .asked = tls->asking.asked,
        .sent = gnutls_certificate_get_ours(tls->session) != NULL,
        .confirmed = tls->confirmed,
        .standing = {.matched = tls->asking.issuer_matched,
                     .accepted = tls->asking.accepted,
                     .now = time(NULL)},
    };
    if (tls->asking.identity != NULL) {
        context.standing.own = identity_facts(tls->asking.identity, &context.standing.n_own);
    }
    tls->alert = (int)gnutls_alert_get(tls->session);
    alert_explain((gnutls_alert_description_t)tls->alert, &context, &tls->failure);
    if (tls->alert == GNUTLS_A_NO_APPLICATION_PROTOCOL) {
        add(&tls->failure, "; it speaks none of the protocols in `alpn`");
    }
    if (tls->failure.reason == REASON_sni_unrecognized) {
        const char *name = tls->server_name;
        add(&tls->failure, name != NULL ? "; the name that we sent is " : "; we sent no name");
        add(&tls->failure, name != NULL ? name : "");
    }
}

/* Behind the backend's request for a certificate only our signature is left to disagree on. */
static bool is_about_our_key(const struct tls *tls, int error)
{
    return tls->asking.asked && tls->asking.identity != NULL && !tls->established &&
           (error == GNUTLS_E_UNWANTED_ALGORITHM || error == GNUTLS_E_INSUFFICIENT_CREDENTIALS);
}

void diagnosis_of_error(struct tls *tls, int error)
{
    if (is_about_our_key(tls, error)) {
        tls->withheld = true;
        failure_set_by_peer(&tls->failure, REASON_client_cert_unsupported,
                            "the backend accepts no signature of our key's type");
    } else {
        alert_explain_error(error, &tls->failure);
    }
}

/* What the socket's error says of the backend; false when the backend itself closed or aborted. */
static bool is_beyond_backend(struct tls *tls, int error)
{
    switch (error) {
    case ENOMEM:
        failure_set(&tls->failure, REASON_internal, "out of memory");
        return true;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        failure_set(&tls->failure, REASON_unreachable, "the backend answers no longer: %s",
                    strerror(error));
        return true;
    default:
        return false;
    }
}

void diagnosis_of_end(struct tls *tls, int error)
{
    const char *how = error == 0 ? "closed" : "aborted";
    if (is_beyond_backend(tls, error)) {
        return;
    }
    if (!tls->established) {
        failure_set(&tls->failure, REASON_upstream_reset,
                    "the backend %s the connection during the TLS handshake", how);
    } else if (error == 0) {
        failure_set(&tls->failure, REASON_upstream_truncated,
                    "the backend closed the connection without close_notify");
    } else {
        failure_set(&tls->failure, REASON_upstream_reset, "the backend aborted the connection: %s",
                    strerror(error));
    }
    if (tls->established && !tls->confirmed && tls->asking.asked) {
        add(&tls->failure, ", before it had accepted our certificate");
    }
}
