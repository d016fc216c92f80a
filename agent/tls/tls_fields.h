/* A session's fields: for the room tls/ only. */
#pragma once

#include "base/list.h"
#include "certs/handles.h"
#include "tls/approval.h"
#include "tls/sniff.h"
#include "tls/tls.h"

#include <gnutls/gnutls.h>

struct tls {
    struct handles_session asking; /* first: GnuTLS's session pointer leads to it */
    gnutls_session_t session;
    struct profile *profile;
    struct name host;
    const char *server_name; /* that is sent; NULL: none; the profile's or `host`'s */
    struct failure failure;

    /* Lent by the caller for the duration of a call. */
    struct tls_input *in;
    struct buf *out;

    struct sniff sniff; /* the first bytes that ever came */
    unsigned reauths;
    int alert;        /* that the peer sent last and that ended the session; -1: none */
    bool verified;    /* the trust decision was made, in favour of the peer */
    bool established; /* the handshake is complete */
    bool confirmed;
    bool declined; /* a renegotiation */
    bool said_goodbye;
    bool withheld;      /* our certificate was chosen, and then could not be sent */
    bool deferring;     /* it is to stop before a slow signature */
    bool is_stopped;    /* and has just done so */
    bool has_offered;   /* a ticket */
    bool keeps_tickets; /* that come */
    bool has_news;      /* something for resumption_collect() */
    bool is_taken;      /* what resumes a session of TLS 1.2: it is given once */

    struct list tickets;       /* those that came, the newest first */
    size_t n_tickets;          /* in TLS 1.2 there is at most one, which is never in the list */
    uint64_t offered_born_ms;  /* of the ticket that was offered */
    struct approval *approval; /* of this profile and host, perhaps of another chain; a reference */
};

static inline bool tls_is_13(const struct tls *tls)
{
    return gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3;
}

/* Keeps the ticket that has just come, and frees all that were kept; see ticket.c. */
void ticket_keep(struct tls *tls);
void ticket_drop(struct tls *tls);

/* Makes the trust decision of a session, or spares it where the same chain has just passed. Returns
 * -1 with the session's failure set; see peer.c. */
int peer_judge(struct tls *tls);
