#include "tls/resumption.h"

#include "base/clock.h"
#include "tls/profile_fields.h"
#include "tls/ticket.h"
#include "tls/tls_fields.h"

#include <stdlib.h>
#include <string.h>

#define PAUSE_MIN_MS (10 * UINT64_C(1000))
#define PAUSE_MAX_MS (10 * 60 * UINT64_C(1000))

struct resumption {
    struct refs refs;
    struct profile *profile;   /* a reference */
    struct name host;          /* owned */
    struct approval *approval; /* a reference; NULL: none yet */
    bool is_over;
    uint64_t pause_ms;        /* the last one; 0: none since a session was resumed */
    uint64_t paused_until_ms; /* on clock_ms() */
    size_t max_tickets, n_tickets;
    struct ticket *tickets[]; /* the newest last */
};

struct resumption *resumption_new(struct profile *profile, const struct name *host,
                                  size_t max_tickets)
{
    struct resumption *resumption =
        calloc(1, sizeof(*resumption) + max_tickets * sizeof(resumption->tickets[0]));
    if (resumption == NULL) {
        return NULL;
    }
    refs_init(&resumption->refs);
    resumption->profile = profile_ref(profile);
    resumption->max_tickets = max_tickets;
    return name_copy(host, &resumption->host) == 0 ? resumption : resumption_unref(resumption);
}

struct resumption *resumption_ref(struct resumption *resumption)
{
    refs_take(&resumption->refs);
    return resumption;
}

struct resumption *resumption_unref(struct resumption *resumption)
{
    if (resumption != NULL && refs_drop(&resumption->refs)) {
        resumption_end(resumption);
        profile_unref(resumption->profile);
        name_release(&resumption->host);
        free(resumption);
    }
    return NULL;
}

/* A ticket takes a session past the trust decision, so this is asked of both sides of it. */
static bool is_for(const struct resumption *resumption, const struct tls *tls)
{
    return !resumption->is_over && resumption->profile == tls->profile &&
           name_equal(&resumption->host, &tls->host);
}

/* The newest ticket that may still be offered; what is older than one that may not goes, too. */
static struct ticket *pop(struct resumption *resumption)
{
    if (resumption->n_tickets == 0) {
        return NULL;
    }
    struct ticket *newest = resumption->tickets[--resumption->n_tickets];
    if (ticket_is_fresh(newest)) {
        return newest;
    }
    resumption_forget(resumption);
    return ticket_free(newest);
}

void resumption_offer(struct resumption *resumption, struct tls *tls)
{
    if (!is_for(resumption, tls)) {
        return;
    }
    tls->keeps_tickets = resumption->max_tickets > 0;
    if (resumption->approval != NULL) {
        approval_unref(tls->approval);
        tls->approval = approval_ref(resumption->approval);
    }
    /* A backend that takes a ticket does not look at our certificate again. */
    bool may_resume = !profile_has_run_out(resumption->profile, time(NULL)) &&
                      clock_ms() >= resumption->paused_until_ms;
    struct ticket *ticket = may_resume ? pop(resumption) : NULL;
    if (ticket != NULL) {
        (void)ticket_offer(tls, ticket); /* without it the handshake is a full one */
        ticket_free(ticket);
    }
}

static void drop_first(struct resumption *resumption)
{
    ticket_free(resumption->tickets[0]);
    resumption->n_tickets--;
    memmove(&resumption->tickets[0], &resumption->tickets[1],
            resumption->n_tickets * sizeof(resumption->tickets[0]));
}

static void put(struct resumption *resumption, struct ticket *ticket)
{
    if (resumption->n_tickets == resumption->max_tickets) {
        drop_first(resumption);
    }
    resumption->tickets[resumption->n_tickets++] = ticket;
}

static void collect_approval(struct resumption *resumption, const struct tls *tls)
{
    if (tls->approval != NULL && tls->approval != resumption->approval) {
        approval_unref(resumption->approval);
        resumption->approval = approval_ref(tls->approval);
    }
}

void resumption_collect(struct resumption *resumption, struct tls *tls)
{
    if (!tls->has_news || !is_for(resumption, tls)) {
        return;
    }
    tls->has_news = false;
    if (tls_is_resumed(tls)) {
        resumption->pause_ms = 0;
    }
    collect_approval(resumption, tls);
    struct ticket *ticket;
    while (tls->keeps_tickets && (ticket = ticket_take(tls)) != NULL) {
        if (ticket_is_fresh(ticket)) {
            put(resumption, ticket);
        } else {
            ticket_free(ticket);
        }
    }
}

void resumption_expire(struct resumption *resumption)
{
    size_t n = 0;
    for (size_t i = 0; i < resumption->n_tickets; i++) {
        struct ticket *ticket = resumption->tickets[i];
        if (ticket_is_fresh(ticket)) {
            resumption->tickets[n++] = ticket;
        } else {
            ticket_free(ticket);
        }
    }
    resumption->n_tickets = n;
}

void resumption_forget(struct resumption *resumption)
{
    while (resumption->n_tickets > 0) {
        ticket_free(resumption->tickets[--resumption->n_tickets]);
    }
}

void resumption_pause(struct resumption *resumption)
{
    uint64_t now_ms = clock_ms();
    resumption_forget(resumption);
    if (now_ms < resumption->paused_until_ms) {
        return; /* for one that was broken off together with this one */
    }
    resumption->pause_ms = resumption->pause_ms == 0
                               ? PAUSE_MIN_MS
                               : clock_sooner(2 * resumption->pause_ms, PAUSE_MAX_MS);
    resumption->paused_until_ms = now_ms + resumption->pause_ms;
}

void resumption_end(struct resumption *resumption)
{
    resumption->is_over = true;
    resumption_forget(resumption);
    resumption->approval = approval_unref(resumption->approval);
}

size_t resumption_tickets(const struct resumption *resumption)
{
    return resumption->n_tickets;
}
