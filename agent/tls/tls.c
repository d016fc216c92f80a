#include "tls/tls.h"

#include "base/cleanup.h"
#include "tls/alert.h"
#include "tls/diagnosis.h"
#include "tls/profile_fields.h"
#include "tls/ticket.h"
#include "tls/tls_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Post-handshake authentications answered in one session: each costs a signature (RFC 8446 section
 * 4.6.2). */
#define REAUTH_MAX 16

static struct tls *of_session(gnutls_session_t session)
{
    return gnutls_session_get_ptr(session);
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *into, size_t size)
{
    struct tls *tls = ptr;
    if (tls->in == NULL || tls->in->len == 0) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    size_t n = size < tls->in->len ? size : tls->in->len;
    memcpy(into, tls->in->bytes, n);
    tls->in->bytes += n;
    tls->in->len -= n;
    return (ssize_t)n;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *parts, int n_parts)
{
    struct tls *tls = ptr;
    ssize_t total = 0;
    for (int i = 0; i < n_parts; i++) {
        if (buf_append(tls->out, parts[i].iov_base, parts[i].iov_len) < 0) {
            gnutls_transport_set_errno(tls->session, ENOMEM);
            return -1;
        }
        total += (ssize_t)parts[i].iov_len;
    }
    return total;
}

/* In TLS 1.3 the backend has asked for our certificate before it shows its own; in TLS 1.2 it may
 * still do so. */
static bool signs_slowly(const struct tls *tls)
{
    return tls->asking.identity != NULL && (tls->asking.asked || !tls_is_13(tls)) &&
           !tls_is_resumed(tls) && handles_signs_slowly(tls->asking.identity);
}

static int admit(struct tls *tls)
{
    if (peer_judge(tls) < 0) {
        return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
    }
    tls->verified = true;
    return 0;
}

/* A result below -1 stops the handshake; the certificate of ours has not been sent by then. With
 * one that is not fatal GnuTLS comes here again in the next gnutls_handshake(). */
static int on_peer_certificate(gnutls_session_t session)
{
    struct tls *tls = of_session(session);
    if (tls->deferring && signs_slowly(tls)) {
        tls->deferring = false;
        tls->is_stopped = true;
        return GNUTLS_E_INTERRUPTED;
    }
    return admit(tls);
}

static int on_ticket(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                     const gnutls_datum_t *message)
{
    (void)type, (void)when, (void)message;
    struct tls *tls = of_session(session);
    if (incoming) {
        tls->confirmed = true;
    }
    if (incoming && tls->keeps_tickets) {
        ticket_keep(tls);
    }
    return 0;
}

/* RFC 6066 section 3: literal addresses are not permitted in the server name. */
static int set_server_name(struct tls *tls)
{
    const struct profile *profile = tls->profile;
    if (profile->sni == PROFILE_SNI_NAME) {
        tls->server_name = profile->sni_name;
    } else if (profile->sni == PROFILE_SNI_HOST && tls->host.kind == NAME_DNS) {
        tls->server_name = tls->host.text;
    }
    return tls->server_name == NULL
               ? 0
               : gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->server_name,
                                        strlen(tls->server_name));
}

static int set_up(struct tls *tls)
{
    gnutls_session_t session = tls->session;
    const struct profile *profile = tls->profile;

    tls->asking.identity = profile->identity;
    gnutls_session_set_ptr(session, tls);
    gnutls_transport_set_ptr(session, tls);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_vec_push_function(session, push);
    gnutls_session_set_verify_function(session, on_peer_certificate);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
                                       GNUTLS_HOOK_POST, on_ticket);

    if (gnutls_priority_set(session, profile->priority) < 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, handles_of_trust(profile->trust)) <
            0 ||
        set_server_name(tls) < 0) {
        return -1;
    }
    return profile->n_alpn == 0
               ? 0
               : gnutls_alpn_set_protocols(session, profile->alpn, profile->n_alpn, 0);
}

struct tls *tls_new(struct profile *profile, const struct name *host)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return NULL;
    }
    tls->alert = -1;
    list_init(&tls->tickets);
    tls->profile = profile_ref(profile);

    /* One key share: a second one costs a fifth of a resumed handshake, and a peer that wants
     * another group asks for it. */
    unsigned flags = GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_KEY_SHARE_TOP |
                     GNUTLS_POST_HANDSHAKE_AUTH;
    if (name_copy(host, &tls->host) < 0 || gnutls_init(&tls->session, flags) < 0) {
        tls->session = NULL;
        return tls_free(tls);
    }
    return set_up(tls) < 0 ? tls_free(tls) : tls;
}

struct tls *tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return NULL;
    }
    if (tls->session != NULL) {
        gnutls_deinit(tls->session);
    }
    ticket_drop(tls);
    approval_unref(tls->approval);
    free(tls->asking.accepted);
    name_release(&tls->host);
    profile_unref(tls->profile);
    free(tls);
    return NULL;
}

static void lend(struct tls *tls, struct tls_input *in, struct buf *out)
{
    tls->in = in;
    tls->out = out;
}

/* Ends a call: nothing that was lent is kept. */
static enum tls_status give_back(struct tls *tls, enum tls_status status)
{
    lend(tls, NULL, NULL);
    return status;
}

/* Names a failed GnuTLS call, and tells the peer, unless the peer told us. */
static enum tls_status fail(struct tls *tls, int error)
{
    bool refused =
        error == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && tls->failure.reason != REASON_ok;
    if (error == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        diagnosis_of_alert(tls);
    } else if (refused) {
        gnutls_alert_send(tls->session, GNUTLS_AL_FATAL, alert_for(tls->failure.reason));
    } else {
        diagnosis_of_error(tls, error);
        gnutls_alert_send_appropriate(tls->session, error);
    }
    return give_back(tls, TLS_FAILED);
}

void tls_defer(struct tls *tls)
{
    tls->deferring = true;
}

/* GnuTLS has nothing against the handshake. */
static enum tls_status finish(struct tls *tls)
{
    /* A resumed one carries no certificate: the one that came with the ticket is judged. */
    if (!tls->verified && tls_is_resumed(tls) && admit(tls) < 0) {
        return fail(tls, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR);
    }
    if (!tls->verified) {
        /* No path leads here; were there one, it would let plaintext out. */
        failure_set(&tls->failure, REASON_internal, "the handshake ended without verification");
        return give_back(tls, TLS_FAILED);
    }
    tls->established = tls->has_news = true;
    tls->confirmed |= !tls_is_13(tls) || !tls->asking.asked;
    return give_back(tls, TLS_DONE);
}

enum tls_status tls_handshake(struct tls *tls, struct tls_input *in, struct buf *out)
{
    if (!sniff_is_tls(&tls->sniff, in->bytes, in->len)) {
        sniff_explain(in->bytes, in->len, &tls->failure);
        return give_back(tls, TLS_FAILED);
    }
    lend(tls, in, out);
    int rc;
    do {
        rc = gnutls_handshake(tls->session);
    } while (rc < 0 && !gnutls_error_is_fatal(rc) && (rc != GNUTLS_E_AGAIN || in->len > 0) &&
             !tls->is_stopped);

    if (tls->is_stopped) {
        tls->is_stopped = false;
        return give_back(tls, TLS_WANT_THREAD);
    }
    if (rc == GNUTLS_E_AGAIN) {
        return give_back(tls, TLS_WANT_INPUT);
    }
    return rc < 0 ? fail(tls, rc) : finish(tls);
}

/* What comes between data records. True when reading may go on. */
static bool absorb(struct tls *tls, int *rc)
{
    switch (*rc) {
    case GNUTLS_E_REAUTH_REQUEST:
        if (tls->said_goodbye) {
            return true; /* there is no way left to answer, and what comes is still to be read */
        }
        if (++tls->reauths > REAUTH_MAX) {
            *rc = GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS;
            return false;
        }
        *rc = gnutls_reauth(tls->session, 0);
        tls->confirmed = false; /* it judges anew */
        return *rc >= 0;
    case GNUTLS_E_REHANDSHAKE: /* declined by going on: RFC 5246 section 7.4.1.1 allows it */
        tls->declined = true;
        return true;
    case GNUTLS_E_INTERRUPTED:
        return true;
    case GNUTLS_E_AGAIN: /* also after each ticket and KeyUpdate, with more at hand */
        return tls->in->len > 0;
    default:
        return !gnutls_error_is_fatal(*rc);
    }
}

enum tls_status tls_read(struct tls *tls, struct tls_input *in, struct buf *out, uint8_t *plain,
                         size_t size, size_t *ret_len)
{
    *ret_len = 0;
    lend(tls, in, out);
    while (size - *ret_len >= TLS_RECORD_MAX) {
        ssize_t n = gnutls_record_recv(tls->session, plain + *ret_len, size - *ret_len);
        if (n > 0) {
            tls->confirmed = true;
            *ret_len += (size_t)n;
            continue;
        }
        if (n == 0) {
            return give_back(tls, TLS_CLOSED);
        }
        int rc = (int)n;
        if (!absorb(tls, &rc)) {
            return rc == GNUTLS_E_AGAIN ? give_back(tls, TLS_WANT_INPUT) : fail(tls, rc);
        }
    }
    return give_back(tls, TLS_DONE);
}

enum tls_status tls_write(struct tls *tls, const uint8_t *plain, size_t len, struct buf *out)
{
    lend(tls, NULL, out);
    while (len > 0) {
        ssize_t n = gnutls_record_send(tls->session, plain, len);
        if (n < 0 && gnutls_error_is_fatal((int)n)) {
            return fail(tls, (int)n);
        }
        if (n > 0) {
            plain += n;
            len -= (size_t)n;
        }
    }
    return give_back(tls, TLS_DONE);
}

void tls_close(struct tls *tls, struct buf *out)
{
    lend(tls, NULL, out);
    tls->said_goodbye = true;
    gnutls_bye(tls->session, GNUTLS_SHUT_WR);
    give_back(tls, TLS_DONE);
}

void tls_end(struct tls *tls, int error)
{
    diagnosis_of_end(tls, error);
}

const struct failure *tls_failure(const struct tls *tls)
{
    return &tls->failure;
}

const struct name *tls_host(const struct tls *tls)
{
    return &tls->host;
}

const char *tls_version(const struct tls *tls)
{
    if (!tls->established) {
        return NULL;
    }
    return tls_is_13(tls) ? "1.3" : "1.2";
}

const char *tls_cipher(const struct tls *tls)
{
    return tls->established ? gnutls_cipher_get_name(gnutls_cipher_get(tls->session)) : NULL;
}

char *tls_group(const struct tls *tls)
{
    const char *name = gnutls_group_get_name(gnutls_group_get(tls->session));
    return name != NULL ? strdup(name) : NULL;
}

char *tls_alpn(const struct tls *tls)
{
    gnutls_datum_t chosen;
    return gnutls_alpn_get_selected_protocol(tls->session, &chosen) == 0
               ? strndup((const char *)chosen.data, chosen.size)
               : NULL;
}

void tls_observe(struct tls *tls)
{
    tls->keeps_tickets = true;
    tls->asking.notes_accepted = true;
}

bool tls_has_offered(const struct tls *tls)
{
    return tls->has_offered;
}

bool tls_is_resumed(const struct tls *tls)
{
    return gnutls_session_is_resumed(tls->session) != 0;
}

bool tls_is_confirmed(const struct tls *tls)
{
    return tls->confirmed;
}

bool tls_has_declined(const struct tls *tls)
{
    return tls->declined;
}

const char *tls_library_version(void)
{
    return gnutls_check_version(NULL);
}
