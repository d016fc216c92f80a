#include "tls/revocation.h"

#include "base/cleanup.h"
#include "base/cut.h"
#include "base/span.h"
#include "certs/handles.h"
#include "certs/release.h"

#include <stdio.h>
#include <time.h>

#define NAME_MAX_LEN 120 /* bytes of one name in a message */
#define SERIAL_MAX   64  /* bytes; RFC 5280 section 4.1.2.2 allows 20 */
#define SOURCES_MAX  240 /* bytes of where CRLs come from */

/* GnuTLS gives the function that it calls no pointer of ours. */
static _Thread_local struct revocation *current;

/* One step of the way, and the names in it for people. */
struct step {
    const struct trust *trust;
    gnutls_x509_crt_t crt, issuer;
    char name[NAME_MAX_LEN], issuer_name[NAME_MAX_LEN];
    time_t now;
};

static void tell_name(gnutls_x509_crt_t crt, char text[static NAME_MAX_LEN])
{
    AUTO(release_datum) gnutls_datum_t dn = {0};
    bool is_readable = gnutls_x509_crt_get_dn3(crt, &dn, 0) >= 0 && dn.size > 0;
    snprintf(text, NAME_MAX_LEN, "%s", is_readable ? (const char *)dn.data : "an empty name");
}

static int refuse_serial(const struct step *step, const uint8_t *serial, size_t len, time_t when,
                         struct failure *failure)
{
    char hex[2 * SERIAL_MAX + 1] = "", date[SPAN_TEXT_MAX];
    for (size_t i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02X", serial[i]);
    }
    failure_set(failure, REASON_cert_revoked, "%s (serial %s) was revoked by %s%s%s", step->name,
                hex, step->issuer_name, when != (time_t)-1 ? " on " : "",
                when != (time_t)-1 ? span_format_date(when, date) : "");
    return -1;
}

/* Where a CRL of the issuer might have come from. */
static void tell_sources(const struct step *step, char text[static SOURCES_MAX])
{
    size_t n;
    const struct handles_crls *files = handles_crls_of_trust(step->trust, &n);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        cut_append(text, SOURCES_MAX, i > 0 ? ", " : "");
        cut_append(text, SOURCES_MAX, files[i].source);
        if (files[i].n > 0) {
            cut_append(text, SOURCES_MAX, " is of ");
            cut_append(text, SOURCES_MAX, crl_issuer(files[i].crls[0]));
            cut_append(text, SOURCES_MAX, files[i].n > 1 ? " and others" : "");
        } else if (files[i].fault == NULL) {
            cut_append(text, SOURCES_MAX, " is not downloaded yet");
        } else {
            cut_append(text, SOURCES_MAX, " ");
            cut_append(text, SOURCES_MAX, files[i].fault);
        }
    }
}

static int refuse_without(const struct step *step, struct failure *failure)
{
    char sources[SOURCES_MAX];
    tell_sources(step, sources);
    failure_set(failure, REASON_crl_unusable, "there is no CRL of %s, which issued %s: %s",
                step->issuer_name, step->name, sources);
    return -1;
}

/* The newest CRL that the issuer signed, and where it came from. */
struct found {
    const struct crl *crl;
    const char *source;
    const char *unsigned_source; /* of one that bears its name only */
};

static struct found find_crl(const struct step *step)
{
    struct found found = {NULL, NULL, NULL};
    size_t n;
    const struct handles_crls *files = handles_crls_of_trust(step->trust, &n);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < files[i].n; k++) {
            struct crl *crl = files[i].crls[k];
            if (!handles_crl_names(crl, step->issuer)) {
                continue;
            }
            if (!handles_crl_verify(crl, step->issuer)) {
                found.unsigned_source = files[i].source;
            } else if (found.crl == NULL || crl_this_update(found.crl) < crl_this_update(crl)) {
                found.crl = crl;
                found.source = files[i].source;
            }
        }
    }
    return found;
}

static int check_age(const struct step *step, const struct found *found, struct failure *failure)
{
    char span[SPAN_TEXT_MAX], date[SPAN_TEXT_MAX], clock[SPAN_TEXT_MAX];
    time_t next = crl_next_update(found->crl), made = crl_this_update(found->crl);
    span_format_date(step->now, clock);
    if (crl_is_stale(found->crl, step->now)) {
        failure_set(failure, REASON_crl_unusable,
                    "the CRL of %s (%s) is stale: the next one was due %s, %s ago; this host's "
                    "clock says %s",
                    step->issuer_name, found->source, span_format_date(next, date),
                    span_format(step->now - next, span), clock);
        return -1;
    }
    if (crl_is_early(found->crl, step->now)) {
        time_t ahead = made - step->now;
        failure_set(failure, REASON_crl_unusable,
                    "the CRL of %s (%s) is valid from %s, %s ahead; this host's clock says %s%s",
                    step->issuer_name, found->source, span_format_date(made, date),
                    span_format(ahead, span), clock,
                    span_suggests_clock(ahead) ? ": is the clock wrong?" : "");
        return -1;
    }
    return 0;
}

/* RFC 5280 section 6.3.3 (f). */
static bool may_sign_crls(gnutls_x509_crt_t issuer)
{
    unsigned usage = 0;
    int rc = gnutls_x509_crt_get_key_usage(issuer, &usage, NULL);
    return rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
           (rc >= 0 && (usage & GNUTLS_KEY_CRL_SIGN) != 0);
}

static int check_list(const struct step *step, const struct found *found, struct failure *failure)
{
    uint8_t serial[SERIAL_MAX];
    size_t len = sizeof(serial);
    time_t when;
    if (gnutls_x509_crt_get_serial(step->crt, serial, &len) < 0) {
        failure_set(failure, REASON_cert_untrusted, "the serial number of %s cannot be read",
                    step->name);
        return -1;
    }
    return crl_lists(found->crl, serial, len, &when)
               ? refuse_serial(step, serial, len, when, failure)
               : 0;
}

static int check_step(const struct step *step, struct failure *failure)
{
    struct found found = find_crl(step);
    if (found.crl == NULL && found.unsigned_source != NULL) {
        failure_set(failure, REASON_crl_unusable,
                    "the CRL of %s (%s) is not signed by the key of that issuer of %s",
                    step->issuer_name, found.unsigned_source, step->name);
        return -1;
    }
    if (found.crl == NULL) {
        return refuse_without(step, failure);
    }
    if (!may_sign_crls(step->issuer)) {
        failure_set(failure, REASON_crl_unusable,
                    "%s may not sign CRLs: its certificate's key usage lacks cRLSign",
                    step->issuer_name);
        return -1;
    }
    /* What is listed is revoked, however old the list is. */
    return check_list(step, &found, failure) < 0 || check_age(step, &found, failure) < 0 ? -1 : 0;
}

/* Takes the step from an issuer that was reached to one that it issued. */
static void take_step(struct revocation *revocation, gnutls_x509_crt_t crt,
                      gnutls_x509_crt_t issuer)
{
    struct step step = {.trust = revocation->trust, .crt = crt, .issuer = issuer};
    struct failure *failure = &revocation->failure;
    revocation->below = crt;
    revocation->reached_leaf = gnutls_x509_crt_equals2(crt, revocation->leaf) != 0;
    if (gnutls_x509_crt_equals(crt, issuer) != 0 || failure->reason != REASON_ok) {
        return;
    }
    tell_name(crt, step.name);
    tell_name(issuer, step.issuer_name);
    step.now = time(NULL);
    (void)check_step(&step, failure);
}

/* GnuTLS goes down from one of our CAs to the leaf, perhaps after ways that lead nowhere. The way
 * that counts is the last one. */
static int on_step(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer, gnutls_x509_crl_t crl,
                   unsigned status)
{
    (void)crl;
    struct revocation *revocation = current;
    if (revocation == NULL) {
        return 0;
    }
    bool is_good = status == 0 && crt != NULL && issuer != NULL;
    bool is_first = is_good && handles_is_anchor(revocation->trust, issuer);
    bool goes_on = is_good && revocation->below != NULL &&
                   gnutls_x509_crt_equals(revocation->below, issuer) != 0;
    if (is_first) {
        revocation->failure.reason = REASON_ok;
    }
    if (is_first || goes_on) {
        take_step(revocation, crt, issuer);
    } else {
        revocation->below = NULL;
        revocation->reached_leaf = false;
    }
    return 0;
}

static bool is_wanted(const struct revocation *revocation)
{
    size_t n;
    handles_crls_of_trust(revocation->trust, &n);
    return n > 0;
}

void revocation_begin(struct revocation *revocation, gnutls_session_t session,
                      const struct trust *trust, const gnutls_datum_t *leaf)
{
    *revocation = (struct revocation){.trust = trust, .leaf = leaf};
    if (is_wanted(revocation)) {
        current = revocation;
        gnutls_session_set_verify_output_function(session, on_step);
    }
}

void revocation_end(struct revocation *revocation, gnutls_session_t session)
{
    if (current == revocation) {
        current = NULL;
        gnutls_session_set_verify_output_function(session, NULL);
    }
    revocation->below = NULL; /* GnuTLS's, and gone */
}

int revocation_judge(const struct revocation *revocation, struct failure *ret_failure)
{
    if (!is_wanted(revocation)) {
        return 0;
    }
    if (revocation->failure.reason != REASON_ok) {
        *ret_failure = revocation->failure;
        return -1;
    }
    if (!revocation->reached_leaf) {
        failure_set(ret_failure, REASON_crl_unusable,
                    "the way from our CAs to its certificate cannot be followed, so that no CRL "
                    "could be consulted");
        return -1;
    }
    return 0;
}
