#include "certs/bundle.h"

#include "base/cleanup.h"
#include "base/span.h"
#include "certs/handles.h"
#include "certs/key.h"
#include "certs/pem.h"

#include <stdlib.h>
#include <time.h>

#define SOON_DAYS 14

/* What one call of bundle_read() is about. */
struct reading {
    const char *path;
    const char *what;
    enum bundle_others others;
    struct place place;
    struct problems *problems;
    bool has_key;
};

int bundle_add(struct bundle *bundle, gnutls_x509_crt_t crt)
{
    gnutls_x509_crt_t *crts = reallocarray(bundle->crts, bundle->n + 1, sizeof(gnutls_x509_crt_t));
    if (crts == NULL) {
        return -1;
    }
    bundle->crts = crts;
    struct inspect_facts *facts = reallocarray(bundle->facts, bundle->n + 1, sizeof(*facts));
    if (facts == NULL) {
        return -1;
    }
    bundle->facts = facts;
    if (handles_inspect(crt, &facts[bundle->n]) < 0) {
        return -1;
    }
    crts[bundle->n] = crt;
    bundle->n++;
    return 0;
}

static void take_certificate(const struct reading *reading, const struct pem_block *block,
                             struct bundle *bundle)
{
    gnutls_x509_crt_t crt = NULL;
    int rc = gnutls_x509_crt_init(&crt);
    if (rc >= 0) {
        rc = gnutls_x509_crt_import(crt, &block->text, GNUTLS_X509_FMT_PEM);
    }
    if (rc >= 0 && bundle_add(bundle, crt) < 0) {
        rc = GNUTLS_E_MEMORY_ERROR;
    }
    if (rc == GNUTLS_E_MEMORY_ERROR) {
        problems_error(reading->problems, reading->place, "%s: out of memory", reading->path);
    } else if (rc < 0) {
        problems_error(reading->problems, reading->place,
                       "%s: the certificate at line %u is damaged (%s); replace it", reading->path,
                       block->line, gnutls_strerror(rc));
    }
    if (rc < 0) {
        gnutls_x509_crt_deinit(crt);
    }
}

static void take_block(struct reading *reading, const struct pem_block *block,
                       struct bundle *bundle)
{
    if (pem_is(block, "CERTIFICATE") || pem_is(block, "X509 CERTIFICATE")) {
        take_certificate(reading, block, bundle);
    } else if (pem_is(block, "TRUSTED CERTIFICATE")) {
        problems_error(
            reading->problems, reading->place,
            "%s: the certificate at line %u is in OpenSSL's own \"trusted\" form; convert "
            "it with: openssl x509 -in FILE",
            reading->path, block->line);
    } else if (pem_is_key(block)) {
        reading->has_key = true;
        if (reading->others == BUNDLE_REFUSE_OTHERS) {
            problems_error(reading->problems, reading->place,
                           "%s: holds a private key at line %u; move it to a file of its own",
                           reading->path, block->line);
        }
    } else if (reading->others == BUNDLE_REFUSE_OTHERS) {
        problems_error(reading->problems, reading->place,
                       "%s: the %.*s at line %u does not belong here; remove it", reading->path,
                       (int)(block->label_len < 40 ? block->label_len : 40), block->label,
                       block->line);
    }
}

static void take_all(struct reading *reading, const struct secret *text, struct bundle *bundle)
{
    struct pem_cursor cursor = pem_start(text);
    struct pem_block block;
    int found;
    while ((found = pem_next(&cursor, &block)) > 0) {
        take_block(reading, &block, bundle);
    }
    if (found < 0) {
        problems_error(
            reading->problems, reading->place,
            "%s: BEGIN and END do not pair up at line %u; the file is damaged or cut short",
            reading->path, block.line);
    } else if (bundle->n == 0 && reading->has_key) {
        problems_error(reading->problems, reading->place,
                       "%s: holds a private key and no certificate; give the %s here",
                       reading->path, reading->what);
    } else if (bundle->n == 0) {
        problems_error(reading->problems, reading->place,
                       "%s: holds no usable certificate; put the %s into it", reading->path,
                       reading->what);
    }
}

struct bundle bundle_steal(struct bundle *bundle)
{
    struct bundle taken = *bundle;
    *bundle = (struct bundle){NULL, NULL, 0};
    return taken;
}

int bundle_read(const char *path, const char *what, enum bundle_others others, struct place place,
                struct problems *problems, struct bundle *ret_bundle)
{
    struct reading reading = {path, what, others, place, problems, false};
    /* A secret, because people keep the key in the same file. */
    AUTO(secret_release) struct secret text = {NULL, 0};
    AUTO(bundle_release) struct bundle bundle = {NULL, NULL, 0};
    size_t errors = problems_errors(problems);
    if (pem_read(path, what, place, problems, &text) < 0) {
        return -1;
    }
    take_all(&reading, &text, &bundle);
    if (problems_errors(problems) > errors) {
        return -1;
    }
    *ret_bundle = bundle_steal(&bundle);
    return 0;
}

bool bundle_has_issued(gnutls_x509_crt_t issuer, gnutls_x509_crt_t crt)
{
    /* Only whether the signature fits: dates and strength are for the backend to judge. */
    const unsigned flags = GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                           GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS | GNUTLS_VERIFY_ALLOW_BROKEN |
                           GNUTLS_VERIFY_ALLOW_ANY_X509_V1_CA_CRT;
    unsigned status;
    return gnutls_x509_crt_check_issuer(crt, issuer) == 1 &&
           gnutls_x509_crt_verify(crt, &issuer, 1, flags, &status) >= 0 &&
           (status & GNUTLS_CERT_SIGNATURE_FAILURE) == 0;
}

bool bundle_is_root(gnutls_x509_crt_t crt)
{
    return bundle_has_issued(crt, crt);
}

static void swap(struct bundle *bundle, size_t a, size_t b)
{
    gnutls_x509_crt_t crt = bundle->crts[a];
    struct inspect_facts facts = bundle->facts[a];
    bundle->crts[a] = bundle->crts[b];
    bundle->facts[a] = bundle->facts[b];
    bundle->crts[b] = crt;
    bundle->facts[b] = facts;
}

/* Of two certificates that fit. */
static bool is_better(const struct bundle *bundle, size_t a, size_t b)
{
    bool a_is_root = bundle_is_root(bundle->crts[a]), b_is_root = bundle_is_root(bundle->crts[b]);
    return a_is_root != b_is_root ? b_is_root
                                  : bundle->facts[a].not_after > bundle->facts[b].not_after;
}

/* Finds what belongs at place `at`: the issuer of the one before it, or the key's certificate.
 * Returns the bundle's length when there is none. */
static size_t find_next(const struct bundle *bundle, size_t at, const unsigned char *key_id)
{
    size_t best = bundle->n;
    for (size_t i = at; i < bundle->n; i++) {
        bool fits = at == 0 ? key_is_of(bundle->crts[i], key_id)
                            : bundle_has_issued(bundle->crts[i], bundle->crts[at - 1]);
        if (fits && (best == bundle->n || is_better(bundle, i, best))) {
            best = i;
        }
    }
    return best;
}

size_t bundle_arrange(struct bundle *bundle, const unsigned char *key_id)
{
    size_t n = 0;
    while (n == 0 || !bundle_is_root(bundle->crts[n - 1])) {
        size_t next = find_next(bundle, n, key_id);
        if (next == bundle->n) {
            break;
        }
        swap(bundle, n, next);
        n++;
    }
    return n;
}

void bundle_truncate(struct bundle *bundle, size_t n)
{
    while (bundle->n > n) {
        bundle->n--;
        gnutls_x509_crt_deinit(bundle->crts[bundle->n]);
        inspect_release(&bundle->facts[bundle->n]);
    }
}

void bundle_warn_of_dates(const struct bundle *bundle, const char *path, struct place place,
                          struct problems *problems)
{
    char span[SPAN_TEXT_MAX];
    time_t now = time(NULL);
    for (size_t i = 0; i < bundle->n; i++) {
        const struct inspect_facts *facts = &bundle->facts[i];
        if (now > facts->not_after) {
            problems_warning(problems, place, "%s: certificate %zu (%s) expired %s ago; renew it",
                             path, i + 1, facts->subject,
                             span_format(now - facts->not_after, span));
        } else if (now < facts->not_before) {
            problems_warning(problems, place,
                             "%s: certificate %zu (%s) is not valid for another %s; check this "
                             "host's clock",
                             path, i + 1, facts->subject,
                             span_format(facts->not_before - now, span));
        } else if (inspect_days_left(facts, now) < SOON_DAYS) {
            problems_warning(problems, place, "%s: certificate %zu (%s) expires in %s; renew it",
                             path, i + 1, facts->subject,
                             span_format(facts->not_after - now, span));
        }
    }
}

void bundle_release(struct bundle *bundle)
{
    bundle_truncate(bundle, 0);
    free(bundle->crts);
    free(bundle->facts);
    *bundle = (struct bundle){NULL, NULL, 0};
}
