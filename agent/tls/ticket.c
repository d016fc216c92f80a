#include "tls/ticket.h"

#include "base/cleanup.h"
#include "tls/tls_fields.h"

#include <stdlib.h>
#include <string.h>

/* GnuTLS's answer where there is nothing to resume from is shorter. */
#define TICKET_LEN_MIN 16

struct ticket {
    gnutls_datum_t data; /* GnuTLS's memory */
};

/* Returns NULL when there is nothing to resume from, or memory is out. */
static struct ticket *read_newest(gnutls_session_t session)
{
    struct ticket *ticket = calloc(1, sizeof(*ticket));
    if (ticket == NULL || gnutls_session_get_data2(session, &ticket->data) < 0 ||
        ticket->data.size < TICKET_LEN_MIN) {
        return ticket_free(ticket);
    }
    return ticket;
}

void ticket_keep(struct tls *tls)
{
    struct ticket *newest = read_newest(tls->session);
    if (newest != NULL) {
        ticket_free(tls->ticket);
        tls->ticket = newest;
    }
}

/* In TLS 1.2 GnuTLS has something to give after every handshake, and it is of use only when the
 * backend gave it a ticket or a name. */
static bool has_session_12(gnutls_session_t session)
{
    size_t len = 0;
    gnutls_session_get_id(session, NULL, &len);
    return len > 0 || (gnutls_session_get_flags(session) & GNUTLS_SFLAGS_SESSION_TICKET) != 0;
}

static bool is_13(const struct tls *tls)
{
    return gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3;
}

bool ticket_is_there(const struct tls *tls)
{
    return is_13(tls) ? tls->ticket != NULL : has_session_12(tls->session);
}

struct ticket *ticket_take(struct tls *tls)
{
    if (is_13(tls)) {
        return cleanup_steal(tls->ticket);
    }
    return ticket_is_there(tls) ? read_newest(tls->session) : NULL;
}

int ticket_offer(struct tls *tls, const struct ticket *ticket)
{
    return gnutls_session_set_data(tls->session, ticket->data.data, ticket->data.size) < 0 ? -1 : 0;
}

struct ticket *ticket_free(struct ticket *ticket)
{
    if (ticket != NULL) {
        if (ticket->data.data != NULL) {
            explicit_bzero(ticket->data.data, ticket->data.size);
        }
        gnutls_free(ticket->data.data);
        free(ticket);
    }
    return NULL;
}
