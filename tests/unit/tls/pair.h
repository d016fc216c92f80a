/* Both ends of a TLS connection in one process and without a socket: our client, and a server made
 * of GnuTLS's own. What one writes waits in a buffer until the other reads it. */
#pragma once

#include "tls/tls.h"

#include <errno.h>

#include "tests/unit/certs/fixture.h"

#define PAIR_MAX ((size_t)64 * 1024 * 1024)

struct pair {
    struct problems *problems;
    struct fixture_cert ca, server_cert, client_cert;
    struct fixture_cert middle; /* between the CA and the server, if wanted */
    struct trust *trust;
    struct identity *identity;
    struct profile *profile;
    struct tls *client;

    gnutls_certificate_credentials_t server_credentials;
    gnutls_session_t server;
    struct buf to_server, to_client;
    size_t piece; /* bytes of ciphertext given to the client at once */
};

/* How a pair differs from the ordinary one: verified, mutual, TLS 1.3, host api.example.com. */
struct pair_spec {
    const char *server_priority;          /* NULL: TLS 1.3 */
    const char *host;                     /* what the client wants; NULL: the right name */
    const char *purpose;                  /* of the server's certificate; NULL: serverAuth */
    bool no_identity;                     /* the client has no certificate */
    bool not_asked;                       /* the server does not ask for one */
    bool trusts_namesake;                 /* the client trusts another CA of the same name */
    bool has_middle;                      /* the server's certificate is an intermediate's */
    void (*add_files)(struct pair *pair); /* called when the certificates are there */
    const struct trust_crl *crls;         /* of the client */
    size_t n_crls;
    const char *warning; /* about them; NULL: none */
    unsigned server_flags;
    size_t piece; /* 0: all at once */
};

static inline ssize_t pair_pull(gnutls_transport_ptr_t ptr, void *into, size_t size)
{
    struct pair *pair = ptr;
    size_t n = buf_len(&pair->to_server);
    if (n == 0) {
        gnutls_transport_set_errno(pair->server, EAGAIN);
        return -1;
    }
    n = n < size ? n : size;
    memcpy(into, buf_bytes(&pair->to_server), n);
    buf_consume(&pair->to_server, n);
    return (ssize_t)n;
}

static inline ssize_t pair_push(gnutls_transport_ptr_t ptr, const void *bytes, size_t len)
{
    struct pair *pair = ptr;
    assert_int_equal(buf_append(&pair->to_client, bytes, len), 0);
    return (ssize_t)len;
}

static inline void pair_make_files(struct pair *pair, const struct pair_spec *spec)
{
    pair->ca = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    pair->middle =
        fixture_make((struct fixture_spec){.cn = "Middle", .is_ca = true, .issuer = &pair->ca});
    pair->server_cert = fixture_make((struct fixture_spec){
        .cn = "server",
        .issuer = spec->has_middle ? &pair->middle : &pair->ca,
        .dns = "api.example.com",
        .purpose = spec->purpose != NULL ? spec->purpose : GNUTLS_KP_TLS_WWW_SERVER,
    });
    pair->client_cert = fixture_make((struct fixture_spec){.cn = "gateway", .issuer = &pair->ca});
    (void)unlink("ca.crt");
    (void)unlink("client.crt");
    struct fixture_cert namesake = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    fixture_add("ca.crt", spec->trusts_namesake ? &namesake : &pair->ca);
    fixture_release(&namesake);
    fixture_add("client.crt", &pair->client_cert);
    fixture_write_key("client.key", &pair->client_cert);
    if (spec->add_files != NULL) {
        spec->add_files(pair);
    }
}

static inline void pair_make_client(struct pair *pair, const struct pair_spec *spec)
{
    const struct identity_source source = {.cert = "client.crt", .key = "client.key"};
    const char *why;
    pair->problems = problems_new();
    pair->trust = trust_load(&(struct trust_source){.ca = "ca.crt",
                                                    .crls = spec->crls,
                                                    .n_crls = spec->n_crls},
                             pair->problems);
    pair->identity = spec->no_identity ? NULL : identity_load(&source, pair->problems);
    fixture_expect(pair->problems, spec->warning);
    const struct profile_options options = {
        .identity = pair->identity,
        .trust = pair->trust,
        .tls_min = 12,
        .tls_max = 13,
    };
    pair->profile = profile_new(&options, &why);
    assert_non_null(pair->profile);

    struct name host = {0};
    assert_int_equal(name_from_host(spec->host != NULL ? spec->host : "api.example.com", &host,
                                    &why),
                     0);
    pair->client = tls_new(pair->profile, &host);
    assert_non_null(pair->client);
    name_release(&host);
}

static inline void pair_make_server(struct pair *pair, const struct pair_spec *spec)
{
    const char *priority =
        spec->server_priority != NULL ? spec->server_priority : "NORMAL:-VERS-ALL:+VERS-TLS1.3";
    fixture_ok(gnutls_certificate_allocate_credentials(&pair->server_credentials));
    gnutls_x509_crt_t chain[] = {pair->server_cert.crt, pair->middle.crt};
    fixture_ok(gnutls_certificate_set_x509_key(pair->server_credentials, chain,
                                               spec->has_middle ? 2 : 1, pair->server_cert.key));
    fixture_ok(gnutls_certificate_set_x509_trust(pair->server_credentials, &pair->ca.crt, 1));
    fixture_ok(gnutls_init(&pair->server, GNUTLS_SERVER | GNUTLS_NONBLOCK | spec->server_flags));
    fixture_ok(gnutls_priority_set_direct(pair->server, priority, NULL));
    fixture_ok(
        gnutls_credentials_set(pair->server, GNUTLS_CRD_CERTIFICATE, pair->server_credentials));
    if (!spec->not_asked) {
        gnutls_certificate_server_set_request(pair->server, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(pair->server, NULL, 0);
    }
    gnutls_transport_set_ptr(pair->server, pair);
    gnutls_transport_set_pull_function(pair->server, pair_pull);
    gnutls_transport_set_push_function(pair->server, pair_push);
}

static inline struct pair *pair_new(struct pair_spec spec)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    assert_non_null(pair);
    buf_init(&pair->to_server, PAIR_MAX);
    buf_init(&pair->to_client, PAIR_MAX);
    pair->piece = spec.piece != 0 ? spec.piece : PAIR_MAX;
    pair_make_files(pair, &spec);
    pair_make_client(pair, &spec);
    pair_make_server(pair, &spec);
    return pair;
}

static inline void pair_free(struct pair *pair)
{
    tls_free(pair->client);
    profile_unref(pair->profile);
    identity_unref(pair->identity);
    trust_unref(pair->trust);
    problems_free(pair->problems);
    gnutls_deinit(pair->server);
    gnutls_certificate_free_credentials(pair->server_credentials);
    fixture_release(&pair->ca);
    fixture_release(&pair->server_cert);
    fixture_release(&pair->middle);
    fixture_release(&pair->client_cert);
    buf_release(&pair->to_server);
    buf_release(&pair->to_client);
    free(pair);
}

/* The next piece of ciphertext for the client. */
static inline struct tls_input pair_input(struct pair *pair)
{
    size_t n = buf_len(&pair->to_client);
    return (struct tls_input){buf_bytes(&pair->to_client), n < pair->piece ? n : pair->piece};
}

/* Runs both handshakes as far as they go. Returns the client's last word; `*ret_server`, if wanted,
 * is what GnuTLS said on the other side. */
static inline enum tls_status pair_handshake(struct pair *pair, int *ret_server)
{
    enum tls_status status = TLS_WANT_INPUT;
    int server = GNUTLS_E_AGAIN;
    bool progress = true;
    while (progress) {
        struct tls_input in = pair_input(pair);
        size_t given = in.len;
        size_t before = buf_len(&pair->to_server);
        progress = given > 0 || status == TLS_WANT_INPUT;
        if (status == TLS_WANT_INPUT) {
            status = tls_handshake(pair->client, &in, &pair->to_server);
            buf_consume(&pair->to_client, given - in.len);
            progress = given > in.len || buf_len(&pair->to_server) > before;
        } else {
            progress = false;
        }
        if (server == GNUTLS_E_AGAIN) {
            server = gnutls_handshake(pair->server);
            progress |= server == 0;
        }
        progress |= buf_len(&pair->to_client) > 0 && status == TLS_WANT_INPUT;
    }
    if (ret_server != NULL) {
        *ret_server = server;
    }
    return status;
}

/* Lets the client read all that waits for it. Returns the plaintext's length. */
static inline size_t pair_read(struct pair *pair, uint8_t *plain, size_t size,
                               enum tls_status *ret_status)
{
    size_t total = 0;
    *ret_status = TLS_WANT_INPUT;
    while (buf_len(&pair->to_client) > 0 && *ret_status != TLS_CLOSED &&
           *ret_status != TLS_FAILED) {
        struct tls_input in = pair_input(pair);
        size_t given = in.len, n;
        *ret_status =
            tls_read(pair->client, &in, &pair->to_server, plain + total, size - total, &n);
        buf_consume(&pair->to_client, given - in.len);
        total += n;
        if (given == in.len && n == 0) {
            break;
        }
    }
    return total;
}
