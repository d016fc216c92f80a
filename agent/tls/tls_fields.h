/* A session's fields: for the room tls/ only. */
#pragma once

#include "certs/handles.h"
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
    bool withheld; /* our certificate was chosen, and then could not be sent */
    bool observed;

    struct ticket *ticket; /* the newest, when observed */
};

/* Keeps the ticket that has just come, instead of the one before; see ticket.c. */
void ticket_keep(struct tls *tls);
