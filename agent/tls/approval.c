#include "tls/approval.h"

#include "base/cleanup.h"
#include "base/refs.h"
#include "certs/der.h"
#include "certs/release.h"
#include "certs/trust.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/ocsp.h>
#include <gnutls/x509.h>

#define DIGEST     GNUTLS_DIG_SHA256
#define DIGEST_LEN 32

/* Whatever the dates cannot say, such as those of the system's CAs, is looked at this often. */
#define HOLDS_MAX_S 3600

struct approval {
    struct refs refs;
    struct profile *profile; /* a reference */
    struct name host;        /* owned */
    uint8_t chain[DIGEST_LEN], staples[DIGEST_LEN];
    time_t made;
    time_t from, until; /* it holds at both */
    time_t not_after;
};

/* ---- what it rests on ---- */

static int add(gnutls_hash_hd_t hash, const gnutls_datum_t *part)
{
    uint32_t len = part->size; /* or the border between two parts could move */
    if (gnutls_hash(hash, &len, sizeof(len)) < 0) {
        return -1;
    }
    return len > 0 && gnutls_hash(hash, part->data, len) < 0 ? -1 : 0;
}

static int digest_chain(gnutls_session_t session, uint8_t digest[static DIGEST_LEN])
{
    gnutls_hash_hd_t hash;
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    if (chain == NULL || n == 0 || gnutls_hash_init(&hash, DIGEST) < 0) {
        return -1;
    }
    int rc = 0;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = add(hash, &chain[i]);
    }
    gnutls_hash_deinit(hash, digest);
    return rc;
}

static unsigned chain_len(gnutls_session_t session)
{
    unsigned n = 0;
    return gnutls_certificate_get_peers(session, &n) != NULL ? n : 0;
}

/* That of a certificate of the chain; empty, where it has none, though the next may have one. */
static gnutls_datum_t staple_of(gnutls_session_t session, unsigned i)
{
    gnutls_datum_t staple;
    bool is_there = gnutls_ocsp_status_request_get2(session, i, &staple) >= 0;
    return is_there ? staple : (gnutls_datum_t){0};
}

static int digest_staples(gnutls_session_t session, uint8_t digest[static DIGEST_LEN])
{
    gnutls_hash_hd_t hash;
    unsigned n = chain_len(session);
    if (gnutls_hash_init(&hash, DIGEST) < 0) {
        return -1;
    }
    int rc = 0;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        gnutls_datum_t staple = staple_of(session, i);
        rc = add(hash, &staple);
    }
    gnutls_hash_deinit(hash, digest);
    return rc;
}

/* ---- when it holds ---- */

/* What is not valid now has not been relied on. */
static void narrow(struct approval *approval, time_t from, time_t until, time_t now)
{
    if (from <= now && now <= until) {
        approval->from = from > approval->from ? from : approval->from;
        approval->until = until < approval->until ? until : approval->until;
    }
}

static int narrow_to_chain(struct approval *approval, gnutls_session_t session, time_t now)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    for (unsigned i = 0; i < n; i++) {
        AUTO(release_crt) gnutls_x509_crt_t crt = NULL;
        if (der_import(&chain[i], &crt) < 0) {
            return -1;
        }
        time_t end = gnutls_x509_crt_get_expiration_time(crt);
        narrow(approval, gnutls_x509_crt_get_activation_time(crt), end, now);
        approval->not_after = i == 0 ? end : approval->not_after;
    }
    return 0;
}

static void narrow_to_trust(struct approval *approval, const struct trust *trust, time_t now)
{
    size_t n;
    const struct inspect_facts *anchors = trust_facts(trust, &n);
    for (size_t i = 0; i < n; i++) {
        narrow(approval, anchors[i].not_before, anchors[i].not_after, now);
    }
    const struct trust_crl_facts *crls = trust_crls(trust, &n);
    for (size_t i = 0; i < n; i++) {
        narrow(approval, approval->from, crls[i].next_update, now);
    }
}

static int narrow_to_staple(struct approval *approval, const gnutls_datum_t *staple, time_t now)
{
    gnutls_ocsp_resp_t response;
    time_t next = (time_t)-1;
    if (gnutls_ocsp_resp_init(&response) < 0) {
        return -1;
    }
    int rc = gnutls_ocsp_resp_import(response, staple);
    if (rc >= 0) {
        rc = gnutls_ocsp_resp_get_single(response, 0, NULL, NULL, NULL, NULL, NULL, NULL, &next,
                                         NULL, NULL);
    }
    gnutls_ocsp_resp_deinit(response);
    if (next != (time_t)-1) {
        narrow(approval, approval->from, next, now);
    }
    return rc < 0 ? -1 : 0;
}

static int narrow_to_staples(struct approval *approval, gnutls_session_t session, time_t now)
{
    unsigned n = chain_len(session);
    for (unsigned i = 0; i < n; i++) {
        gnutls_datum_t staple = staple_of(session, i);
        if (staple.size > 0 && narrow_to_staple(approval, &staple, now) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the approval ---- */

struct approval *approval_new(gnutls_session_t session, struct profile *profile,
                              const struct name *host)
{
    struct approval *approval = calloc(1, sizeof(*approval));
    if (approval == NULL) {
        return NULL;
    }
    time_t now = time(NULL);
    refs_init(&approval->refs);
    approval->profile = profile_ref(profile);
    approval->made = now;
    approval->from = now - HOLDS_MAX_S;
    approval->until = now + HOLDS_MAX_S;
    if (name_copy(host, &approval->host) < 0 || digest_chain(session, approval->chain) < 0 ||
        digest_staples(session, approval->staples) < 0 ||
        narrow_to_chain(approval, session, now) < 0 ||
        narrow_to_staples(approval, session, now) < 0) {
        return approval_unref(approval);
    }
    narrow_to_trust(approval, profile_trust(profile), now);
    return approval;
}

struct approval *approval_ref(struct approval *approval)
{
    refs_take(&approval->refs);
    return approval;
}

struct approval *approval_unref(struct approval *approval)
{
    if (approval != NULL && refs_drop(&approval->refs)) {
        profile_unref(approval->profile);
        name_release(&approval->host);
        free(approval);
    }
    return NULL;
}

bool approval_holds(const struct approval *approval, time_t now)
{
    return approval->from <= now && now <= approval->until;
}

bool approval_is_young(const struct approval *approval, time_t now)
{
    return approval_holds(approval, now) && now <= approval->made + HOLDS_MAX_S / 2;
}

bool approval_covers(const struct approval *approval, gnutls_session_t session,
                     const struct profile *profile, const struct name *host)
{
    uint8_t chain[DIGEST_LEN], staples[DIGEST_LEN];
    time_t now = time(NULL);
    if (approval->profile != profile || !name_equal(&approval->host, host) ||
        !approval_holds(approval, now) || digest_chain(session, chain) < 0 ||
        memcmp(chain, approval->chain, DIGEST_LEN) != 0) {
        return false;
    }
    return gnutls_session_is_resumed(session) != 0 ||
           (approval_is_young(approval, now) && digest_staples(session, staples) == 0 &&
            memcmp(staples, approval->staples, DIGEST_LEN) == 0);
}

time_t approval_not_after(const struct approval *approval)
{
    return approval->not_after;
}
