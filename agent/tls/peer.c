#include "tls/peer.h"

#include "base/cleanup.h"
#include "certs/der.h"
#include "certs/release.h"
#include "tls/profile_fields.h"
#include "tls/tls_fields.h"
#include "tls/verify.h"

/* The chain need not be judged anew where the same one has just passed. */
int peer_judge(struct tls *tls)
{
    gnutls_session_t session = tls->session;
    if (tls->approval != NULL &&
        approval_covers(tls->approval, session, tls->profile, &tls->host)) {
        return 0;
    }
    if (verify_peer(session, tls->profile, &tls->host, &tls->failure) < 0) {
        return -1;
    }
    approval_unref(tls->approval);
    tls->approval = approval_new(session, tls->profile, &tls->host);
    return 0;
}

bool peer_would_pass(struct tls *tls, struct profile *profile, struct failure *ret_failure)
{
    if (!tls->established) {
        failure_set(ret_failure, REASON_internal, "the handshake is not complete");
        return false;
    }
    gnutls_session_t session = tls->session;
    gnutls_certificate_credentials_t own = handles_of_trust(tls->profile->trust);
    gnutls_certificate_credentials_t others = handles_of_trust(profile->trust);
    bool passes = false;
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, others) < 0) {
        failure_set(ret_failure, REASON_internal, "out of memory");
    } else {
        passes = verify_peer(session, profile, &tls->host, ret_failure) == 0;
    }
    /* Replaces what is there, which takes no memory. */
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own);
    return passes;
}

bool peer_is_current(const struct tls *tls)
{
    time_t now = time(NULL);
    return tls->verified && tls->approval != NULL && approval_holds(tls->approval, now) &&
           !profile_has_run_out(tls->profile, now);
}

time_t peer_not_after(const struct tls *tls)
{
    if (tls->verified && tls->approval != NULL) {
        return approval_not_after(tls->approval);
    }
    AUTO(release_crt) gnutls_x509_crt_t leaf = NULL;
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls->session, &n);
    if (chain == NULL || n == 0 || der_import(&chain[0], &leaf) < 0) {
        return 0;
    }
    time_t end = gnutls_x509_crt_get_expiration_time(leaf);
    return end != (time_t)-1 ? end : 0;
}
