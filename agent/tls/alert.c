#include "tls/alert.h"

#include <string.h>

static bool has_one(const struct alert_context *context)
{
    return context->standing.n_own > 0;
}

/* Why an alert came that means, where a certificate was sent, `if_sent`. */
static enum reason for_certificate(const struct alert_context *context, enum reason if_sent)
{
    if (context->sent) {
        return if_sent;
    }
    return has_one(context) && context->asked ? REASON_client_cert_unsupported
                                              : REASON_client_cert_required;
}

/* The same for an alert that says no more than that the certificate is not wanted: some servers
 * have one alert for everything. */
static enum reason for_some_fault(const struct alert_context *context, enum reason if_sent)
{
    return for_certificate(context, standing_reason(&context->standing, if_sent));
}

/* Some servers say "expired" of what is not valid yet, too. */
static enum reason for_dates(const struct alert_context *context)
{
    enum reason reason = standing_reason(&context->standing, REASON_client_cert_expired);
    return reason == REASON_own_cert_not_yet_valid ? reason : REASON_client_cert_expired;
}

/* Alerts that are about a client certificate, where one was asked for and none accepted yet. */
static bool about_certificate(gnutls_alert_description_t alert, const struct alert_context *context,
                              enum reason *ret_reason)
{
    switch (alert) {
    case GNUTLS_A_CERTIFICATE_REQUIRED:
        *ret_reason = for_certificate(context, REASON_client_cert_required);
        return true;
    case GNUTLS_A_DECODE_ERROR: /* what gnutls-serv makes of an empty list in TLS 1.2 */
        *ret_reason = for_certificate(context, REASON_tls_protocol);
        return context->asked && !context->sent;
    case GNUTLS_A_HANDSHAKE_FAILURE: /* TLS 1.2 has no alert of its own for a missing certificate */
    case GNUTLS_A_CERTIFICATE_UNKNOWN:
    case GNUTLS_A_ACCESS_DENIED:
        *ret_reason = for_some_fault(context, REASON_client_cert_denied);
        return context->asked;
    case GNUTLS_A_BAD_CERTIFICATE:
        *ret_reason = for_some_fault(context, REASON_client_cert_untrusted);
        return context->asked;
    case GNUTLS_A_UNKNOWN_CA:
        *ret_reason = for_certificate(context, REASON_client_cert_untrusted);
        return context->asked;
    case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
        *ret_reason = REASON_client_cert_unsupported;
        return context->asked;
    case GNUTLS_A_CERTIFICATE_REVOKED:
        *ret_reason = REASON_client_cert_revoked;
        return context->asked;
    case GNUTLS_A_CERTIFICATE_EXPIRED:
        *ret_reason = for_dates(context);
        return context->asked;
    default:
        return false;
    }
}

static enum reason about_protocol(gnutls_alert_description_t alert)
{
    switch (alert) {
    case GNUTLS_A_PROTOCOL_VERSION:
        return REASON_tls_version;
    case GNUTLS_A_HANDSHAKE_FAILURE:
    case GNUTLS_A_INSUFFICIENT_SECURITY:
        return REASON_tls_no_common_cipher;
    case GNUTLS_A_UNRECOGNIZED_NAME:
        return REASON_sni_unrecognized;
    case GNUTLS_A_UNEXPECTED_MESSAGE:
    case GNUTLS_A_BAD_RECORD_MAC:
    case GNUTLS_A_RECORD_OVERFLOW:
    case GNUTLS_A_ILLEGAL_PARAMETER:
    case GNUTLS_A_DECODE_ERROR:
    case GNUTLS_A_DECRYPT_ERROR:
    case GNUTLS_A_UNSUPPORTED_EXTENSION:
    case GNUTLS_A_MISSING_EXTENSION:
        return REASON_tls_protocol;
    default:
        return REASON_tls_alert;
    }
}

/* Writes what we know of our part in it, to follow the alert in a message. */
static const char *tell_our_part(const struct alert_context *context, char *text, size_t size)
{
    if (context->sent) {
        return standing_format(&context->standing, text, size);
    }
    if (!context->asked) {
        return "; it had not asked for a certificate";
    }
    return has_one(context) ? "; our certificate was not sent, for it accepts no signature of our "
                              "key's type"
                            : "; no certificate was presented";
}

void alert_explain(gnutls_alert_description_t alert, const struct alert_context *context,
                   struct failure *ret_failure)
{
    enum reason reason;
    char our_part[FAILURE_DETAIL_MAX];
    const char *name = gnutls_alert_get_name(alert);
    bool ours = !context->confirmed && about_certificate(alert, context, &reason);
    if (!ours) {
        reason = about_protocol(alert);
    }
    failure_set_by_peer(ret_failure, reason, "the backend sent alert %d (%s)%s", (int)alert,
                        name != NULL ? name : "unknown",
                        ours ? tell_our_part(context, our_part, sizeof(our_part)) : "");
}

static const struct {
    int error;
    enum reason reason;
} known_errors[] = {
    {GNUTLS_E_UNSUPPORTED_VERSION_PACKET, REASON_tls_version},
    {GNUTLS_E_UNKNOWN_CIPHER_SUITE, REASON_tls_no_common_cipher},
    {GNUTLS_E_NO_CIPHER_SUITES, REASON_tls_no_common_cipher},
    {GNUTLS_E_INSUFFICIENT_CREDENTIALS, REASON_tls_no_common_cipher},
    {GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM, REASON_tls_no_common_cipher},
    {GNUTLS_E_UNWANTED_ALGORITHM, REASON_tls_no_common_cipher},
    {GNUTLS_E_DH_PRIME_UNACCEPTABLE, REASON_tls_no_common_cipher},
    {GNUTLS_E_ECC_NO_SUPPORTED_CURVES, REASON_tls_no_common_cipher},
    {GNUTLS_E_ECC_UNSUPPORTED_CURVE, REASON_tls_no_common_cipher},
    {GNUTLS_E_KEY_USAGE_VIOLATION, REASON_cert_purpose},
    {GNUTLS_E_CERTIFICATE_ERROR, REASON_cert_untrusted},
    {GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, REASON_cert_untrusted},
    {GNUTLS_E_X509_UNSUPPORTED_CRITICAL_EXTENSION, REASON_cert_untrusted},
    {GNUTLS_E_PK_SIGN_FAILED, REASON_own_key_unusable},
    {GNUTLS_E_PRIVKEY_VERIFICATION_ERROR, REASON_own_key_unusable},
    {GNUTLS_E_MEMORY_ERROR, REASON_internal},
    {GNUTLS_E_PUSH_ERROR, REASON_internal}, /* our own output buffer is full or cannot grow */
};

void alert_explain_error(int error, struct failure *ret_failure)
{
    enum reason reason = REASON_tls_protocol;
    for (size_t i = 0; i < sizeof(known_errors) / sizeof(known_errors[0]); i++) {
        if (known_errors[i].error == error) {
            reason = known_errors[i].reason;
        }
    }
    const char *words = error == GNUTLS_E_KEY_USAGE_VIOLATION
                            ? "its certificate's key usage lacks digitalSignature"
                            : gnutls_strerror(error);
    size_t len = strlen(words);
    bool has_stop = len > 0 && words[len - 1] == '.';
    failure_set(ret_failure, reason, "%.*s", (int)(len - has_stop), words);
}

gnutls_alert_description_t alert_for(enum reason reason)
{
    switch (reason) {
    case REASON_cert_untrusted:
        return GNUTLS_A_UNKNOWN_CA;
    case REASON_cert_expired:
    case REASON_cert_not_yet_valid:
        return GNUTLS_A_CERTIFICATE_EXPIRED;
    case REASON_cert_revoked:
        return GNUTLS_A_CERTIFICATE_REVOKED;
    case REASON_cert_purpose:
        return GNUTLS_A_UNSUPPORTED_CERTIFICATE;
    case REASON_internal:
        return GNUTLS_A_INTERNAL_ERROR;
    default:
        return GNUTLS_A_BAD_CERTIFICATE;
    }
}
