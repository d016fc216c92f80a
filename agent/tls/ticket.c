#include "tls/ticket.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "tls/tls_fields.h"

#include <stdlib.h>
#include <string.h>

/* GnuTLS's answer where there is nothing to resume from is shorter. */
#define TICKET_LEN_MIN 16

/* Kept of one session, whatever its backend sends. */
#define KEPT_MAX 8

/* Whoever steals a ticket's key at the backend reads what was resumed by it. */
#define AGE_MAX_MS (3600 * UINT64_C(1000))

struct ticket {
    struct list link;          /* in tls->tickets */
    gnutls_datum_t data;       /* GnuTLS's memory */
    uint64_t born_ms;          /* when the session of its full handshake was made, or in TLS 1.3 it
                                * came; clock_ms() */
    struct approval *approval; /* a reference; NULL: the chain was not to be approved for long */
};

/* Returns NULL when there is nothing to resume from, or memory is out. */
static struct ticket *read_newest(const struct tls *tls)
{
    struct ticket *ticket = calloc(1, sizeof(*ticket));
    if (ticket == NULL) {
        return NULL;
    }
    list_init(&ticket->link);
    ticket->approval = tls->approval != NULL ? approval_ref(tls->approval) : NULL;
    /* A session of TLS 1.2 that was resumed gives what it was resumed from. */
    bool is_old = !tls_is_13(tls) && tls_is_resumed(tls);
    ticket->born_ms = is_old ? tls->offered_born_ms : clock_ms();
    if (gnutls_session_get_data2(tls->session, &ticket->data) < 0 ||
        ticket->data.size < TICKET_LEN_MIN) {
        return ticket_free(ticket);
    }
    return ticket;
}

static struct ticket *first_of(const struct tls *tls)
{
    return list_item(tls->tickets.next, struct ticket, link);
}

static struct ticket *take_out(struct tls *tls, struct ticket *ticket)
{
    list_remove(&ticket->link);
    tls->n_tickets--;
    return ticket;
}

void ticket_keep(struct tls *tls)
{
    struct ticket *newest = read_newest(tls);
    if (newest == NULL) {
        return;
    }
    if (tls->n_tickets == KEPT_MAX) {
        ticket_free(take_out(tls, list_item(tls->tickets.prev, struct ticket, link)));
    }
    list_prepend(&tls->tickets, &newest->link);
    tls->n_tickets++;
    tls->has_news = true;
}

void ticket_drop(struct tls *tls)
{
    LIST_EACH_SAFE (link, &tls->tickets) {
        ticket_free(take_out(tls, list_item(link, struct ticket, link)));
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

bool ticket_is_there(const struct tls *tls)
{
    return tls_is_13(tls) ? tls->n_tickets > 0 : !tls->is_taken && has_session_12(tls->session);
}

struct ticket *ticket_take(struct tls *tls)
{
    if (!ticket_is_there(tls)) {
        return NULL;
    }
    if (tls_is_13(tls)) {
        return take_out(tls, first_of(tls));
    }
    tls->is_taken = true;
    return read_newest(tls);
}

int ticket_offer(struct tls *tls, const struct ticket *ticket)
{
    if (gnutls_session_set_data(tls->session, ticket->data.data, ticket->data.size) < 0) {
        return -1;
    }
    tls->has_offered = true;
    tls->offered_born_ms = ticket->born_ms;
    approval_unref(tls->approval);
    tls->approval = ticket->approval != NULL ? approval_ref(ticket->approval) : NULL;
    return 0;
}

bool ticket_is_fresh(const struct ticket *ticket)
{
    return clock_ms() - ticket->born_ms < AGE_MAX_MS && ticket->approval != NULL &&
           approval_is_young(ticket->approval, time(NULL));
}

struct ticket *ticket_free(struct ticket *ticket)
{
    if (ticket != NULL) {
        if (ticket->data.data != NULL) {
            explicit_bzero(ticket->data.data, ticket->data.size);
        }
        gnutls_free(ticket->data.data);
        approval_unref(ticket->approval);
        free(ticket);
    }
    return NULL;
}
