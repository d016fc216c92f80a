/* What the tests of this room share: certificates made at run time, in a directory of their own in
 * which the test runs, and what was noted about them. */
#pragma once

#include "base/problems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define FIXTURE_DAY 86400

/* What a certificate is to be; zero is a good client certificate on P-256. */
struct fixture_spec {
    const char *cn;
    const struct fixture_cert *issuer; /* NULL: itself */
    bool is_ca;
    unsigned version;                       /* 0: 3 */
    int from_days, to_days;                 /* from now; both 0: yesterday, and a year */
    unsigned usage;                         /* 0: what fits */
    const char *purpose;                    /* NULL: clientAuth */
    const char *dns, *uri;                  /* names for the subjectAltName; NULL: none */
    gnutls_pk_algorithm_t algorithm;        /* 0: ECDSA */
    unsigned bits;                          /* 0: P-256 */
    const struct fixture_cert *same_key_as; /* NULL: a new key */
};

struct fixture_cert {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
};

static inline void fixture_ok(int rc)
{
    if (rc < 0) {
        fail_msg("%s", gnutls_strerror(rc));
    }
}

/* Runs a command of the shell, for what GnuTLS does not make, or not quickly. */
static inline void fixture_run(const char *command)
{
    int status = system(command); /* NOLINT(cert-env33-c): the test's own text */
    if (status != 0) {
        fail_msg("%s: exit status %d", command, status);
    }
}

static inline void fixture_add_name(gnutls_x509_crt_t crt, gnutls_x509_subject_alt_name_t type,
                                    const char *name)
{
    if (name != NULL) {
        fixture_ok(gnutls_x509_crt_set_subject_alt_name(crt, type, name, (unsigned)strlen(name),
                                                        GNUTLS_FSAN_APPEND));
    }
}

static inline void fixture_add_extensions(gnutls_x509_crt_t crt, const struct fixture_spec *spec)
{
    unsigned usage =
        spec->is_ca ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE;
    fixture_ok(gnutls_x509_crt_set_basic_constraints(crt, spec->is_ca, -1));
    fixture_ok(gnutls_x509_crt_set_key_usage(crt, spec->usage != 0 ? spec->usage : usage));
    if (!spec->is_ca || spec->purpose != NULL) {
        const char *purpose = spec->purpose != NULL ? spec->purpose : GNUTLS_KP_TLS_WWW_CLIENT;
        fixture_ok(gnutls_x509_crt_set_key_purpose_oid(crt, purpose, 0));
        fixture_add_name(crt, GNUTLS_SAN_DNSNAME, spec->dns);
        fixture_add_name(crt, GNUTLS_SAN_URI, spec->uri);
    }
}

/* OpenSSL looks for the primes, as a command, which valgrind does not follow: under valgrind GnuTLS
 * would take seconds. */
static inline void fixture_make_rsa(gnutls_x509_privkey_t key, unsigned bits)
{
    char command[128];
    gnutls_datum_t pem;
    snprintf(command, sizeof(command),
             "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:%u -out fixture.key 2>log",
             bits);
    fixture_run(command);
    fixture_ok(gnutls_load_file("fixture.key", &pem));
    fixture_ok(
        gnutls_x509_privkey_import_pkcs8(key, &pem, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN));
    gnutls_free(pem.data);
    assert_int_equal(unlink("fixture.key"), 0);
}

static inline gnutls_x509_privkey_t fixture_key(const struct fixture_spec *spec)
{
    gnutls_x509_privkey_t key;
    gnutls_pk_algorithm_t algorithm = spec->algorithm != 0 ? spec->algorithm : GNUTLS_PK_ECDSA;
    unsigned bits = spec->bits != 0 ? spec->bits : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    fixture_ok(gnutls_x509_privkey_init(&key));
    if (spec->same_key_as != NULL) {
        fixture_ok(gnutls_x509_privkey_cpy(key, spec->same_key_as->key));
    } else if (algorithm == GNUTLS_PK_RSA) {
        fixture_make_rsa(key, bits);
    } else {
        fixture_ok(gnutls_x509_privkey_generate(key, algorithm, bits, 0));
    }
    return key;
}

/* Reads the certificate as anybody else would: what GnuTLS makes is not yet what GnuTLS reads. */
static inline void fixture_reread(struct fixture_cert *made)
{
    gnutls_datum_t der;
    fixture_ok(gnutls_x509_crt_export2(made->crt, GNUTLS_X509_FMT_DER, &der));
    gnutls_x509_crt_deinit(made->crt);
    fixture_ok(gnutls_x509_crt_init(&made->crt));
    fixture_ok(gnutls_x509_crt_import(made->crt, &der, GNUTLS_X509_FMT_DER));
    gnutls_free(der.data);
}

static inline struct fixture_cert fixture_make(struct fixture_spec spec)
{
    struct fixture_cert made = {.key = fixture_key(&spec)};
    static uint32_t serial;
    time_t now = time(NULL);
    bool is_default = spec.from_days == 0 && spec.to_days == 0;
    serial++;
    fixture_ok(gnutls_x509_crt_init(&made.crt));
    fixture_ok(gnutls_x509_crt_set_version(made.crt, spec.version != 0 ? spec.version : 3));
    fixture_ok(gnutls_x509_crt_set_key(made.crt, made.key));
    fixture_ok(gnutls_x509_crt_set_serial(made.crt, &serial, sizeof(serial)));
    if (spec.cn != NULL) {
        fixture_ok(gnutls_x509_crt_set_dn_by_oid(made.crt, GNUTLS_OID_X520_COMMON_NAME, 0, spec.cn,
                                                 (unsigned)strlen(spec.cn)));
    }
    /* Half an hour off, so that whole days do not depend on the second. */
    fixture_ok(gnutls_x509_crt_set_activation_time(
        made.crt, now + 1800 + (is_default ? -1 : spec.from_days) * FIXTURE_DAY));
    fixture_ok(gnutls_x509_crt_set_expiration_time(
        made.crt, now + 1800 + (is_default ? 365 : spec.to_days) * FIXTURE_DAY));
    if (spec.version != 1) {
        fixture_add_extensions(made.crt, &spec);
    }
    const struct fixture_cert *issuer = spec.issuer != NULL ? spec.issuer : &made;
    gnutls_digest_algorithm_t digest =
        gnutls_x509_privkey_get_pk_algorithm(issuer->key) == GNUTLS_PK_EDDSA_ED25519
            ? GNUTLS_DIG_SHA512
            : GNUTLS_DIG_SHA256;
    fixture_ok(gnutls_x509_crt_sign2(made.crt, issuer->crt, issuer->key, digest, 0));
    fixture_reread(&made);
    return made;
}

static inline void fixture_release(struct fixture_cert *made)
{
    gnutls_x509_crt_deinit(made->crt);
    gnutls_x509_privkey_deinit(made->key);
}

static inline void fixture_write(const char *path, const char *mode, const void *bytes, size_t len)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void fixture_write_text(const char *path, const char *text)
{
    fixture_write(path, "w", text, strlen(text));
}

/* Appends a certificate to a file. */
static inline void fixture_add(const char *path, const struct fixture_cert *made)
{
    gnutls_datum_t pem;
    fixture_ok(gnutls_x509_crt_export2(made->crt, GNUTLS_X509_FMT_PEM, &pem));
    fixture_write(path, "a", pem.data, pem.size);
    gnutls_free(pem.data);
}

/* Writes the key as PKCS#8, mode 0600. */
static inline void fixture_write_key(const char *path, const struct fixture_cert *made)
{
    gnutls_datum_t pem;
    fixture_ok(gnutls_x509_privkey_export2_pkcs8(made->key, GNUTLS_X509_FMT_PEM, NULL,
                                                 GNUTLS_PKCS_PLAIN, &pem));
    fixture_write(path, "w", pem.data, pem.size);
    gnutls_free(pem.data);
    assert_int_equal(chmod(path, 0600), 0);
}

/* What a CRL is to be; zero is an empty one in PEM, of an hour ago and for a day. */
struct fixture_crl {
    const struct fixture_cert *issuer;
    const struct fixture_cert *signer;  /* NULL: the issuer */
    const struct fixture_cert *revoked; /* NULL: none */
    time_t from_s, to_s;                /* from now; both 0: as said */
    bool has_no_end;
    bool is_der;
    gnutls_digest_algorithm_t digest; /* 0: SHA-256 */
};

static inline void fixture_revoke(gnutls_x509_crl_t crl, const struct fixture_cert *made)
{
    if (made != NULL) {
        fixture_ok(gnutls_x509_crl_set_crt(crl, made->crt, time(NULL) - FIXTURE_DAY));
    }
}

/* Appends a CRL to a file. */
static inline void fixture_add_crl(const char *path, struct fixture_crl spec)
{
    gnutls_x509_crl_t crl;
    gnutls_datum_t text;
    time_t now = time(NULL);
    bool is_default = spec.from_s == 0 && spec.to_s == 0;
    const struct fixture_cert signer = {
        .key = spec.signer != NULL ? spec.signer->key : spec.issuer->key,
        .crt = spec.issuer->crt,
    };
    fixture_ok(gnutls_x509_crl_init(&crl));
    fixture_ok(gnutls_x509_crl_set_version(crl, 2));
    fixture_ok(gnutls_x509_crl_set_this_update(crl, now + (is_default ? -3600 : spec.from_s)));
    if (!spec.has_no_end) {
        fixture_ok(
            gnutls_x509_crl_set_next_update(crl, now + (is_default ? FIXTURE_DAY : spec.to_s)));
    }
    fixture_revoke(crl, spec.revoked);
    fixture_ok(gnutls_x509_crl_set_number(crl, "\1", 1));
    fixture_ok(gnutls_x509_crl_sign2(crl, signer.crt, signer.key,
                                     spec.digest != 0 ? spec.digest : GNUTLS_DIG_SHA256, 0));
    fixture_ok(gnutls_x509_crl_export2(crl, spec.is_der ? GNUTLS_X509_FMT_DER : GNUTLS_X509_FMT_PEM,
                                       &text));
    fixture_write(path, "a", text.data, text.size);
    gnutls_free(text.data);
    gnutls_x509_crl_deinit(crl);
}

/* Makes a directory and goes there; fixture_leave() removes it. */
static inline int fixture_enter(void **state)
{
    static char directory[] = "/tmp/mtls-agent-certs-XXXXXX";
    *state = mkdtemp(directory);
    return *state != NULL ? chdir(*state) : -1;
}

static inline int fixture_leave(void **state)
{
    fixture_run("rm -rf \"$PWD\"");
    *state = NULL;
    return chdir("/");
}

static inline void fixture_collect(void *ctx, bool is_error, const char *text)
{
    char *all = ctx;
    size_t len = strlen(all);
    snprintf(all + len, 4096 - len, "%s%s\n", is_error ? "" : "warning: ", text);
}

/* All that was noted, one line each. Valid until the next call. */
static inline const char *fixture_text(const struct problems *problems)
{
    static char all[4096];
    all[0] = '\0';
    problems_each(problems, fixture_collect, all);
    return all;
}

/* Checks that the text noted contains `expected`, or is empty when that is NULL. */
static inline void fixture_expect(const struct problems *problems, const char *expected)
{
    const char *text = fixture_text(problems);
    if (expected == NULL ? text[0] != '\0' : strstr(text, expected) == NULL) {
        fail_msg("expected \"%s\", but noted was:\n%s", expected != NULL ? expected : "", text);
    }
}
