/* What the tests of this room share: certificates of two CAs, "old" and "new", and a backend of
 * GnuTLS's own in a thread, whose certificate is of "old". */
#pragma once

#include "base/addr.h"
#include "certs/identity.h"
#include "certs/trust.h"

#include <pthread.h>
#include <sys/socket.h>

#include "tests/unit/certs/fixture.h"

#define BACKEND_HOST     "api.example.com"
#define BACKEND_TLS12    "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define BACKEND_TLS13    "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define BACKEND_WAIT_MS  20000 /* longer than anything takes that works */
#define BACKEND_HELD_MAX 128

/* ---- the certificates, once for all tests ---- */

static struct {
    struct fixture_cert old_ca, new_ca, server;
    struct trust *old_trust, *new_trust, *revoking;
    struct identity *old_identity, *new_identity;
} pki;

static inline struct fixture_cert make_ca(const char *cn)
{
    return fixture_make((struct fixture_spec){
        .cn = cn, .is_ca = true, .usage = GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN});
}

static inline struct trust *load_trust(const struct trust_source *source)
{
    struct problems *problems = problems_new();
    struct trust *trust = trust_load(source, problems);
    fixture_expect(problems, NULL);
    problems_free(problems);
    return trust;
}

static inline struct identity *load_identity(const char *name, const struct fixture_cert *ca)
{
    struct fixture_cert made = fixture_make((struct fixture_spec){.cn = name, .issuer = ca});
    struct problems *problems = problems_new();
    (void)unlink("client.crt");
    fixture_add("client.crt", &made);
    fixture_write_key("client.key", &made);
    struct identity *identity =
        identity_load(&(struct identity_source){.cert = "client.crt", .key = "client.key"},
                      problems);
    fixture_expect(problems, NULL);
    problems_free(problems);
    fixture_release(&made);
    return identity;
}

/* Revokes the backends' certificate. */
static inline void write_crl(void)
{
    gnutls_x509_crl_t crl;
    gnutls_datum_t pem;
    time_t now = time(NULL);
    fixture_ok(gnutls_x509_crl_init(&crl));
    fixture_ok(gnutls_x509_crl_set_version(crl, 2));
    fixture_ok(gnutls_x509_crl_set_this_update(crl, now - FIXTURE_DAY));
    fixture_ok(gnutls_x509_crl_set_next_update(crl, now + FIXTURE_DAY));
    fixture_ok(gnutls_x509_crl_set_number(crl, "\1", 1));
    fixture_ok(gnutls_x509_crl_set_crt(crl, pki.server.crt, now - FIXTURE_DAY));
    fixture_ok(gnutls_x509_crl_sign2(crl, pki.old_ca.crt, pki.old_ca.key, GNUTLS_DIG_SHA256, 0));
    fixture_ok(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem));
    fixture_write("ca.crl", "w", pem.data, pem.size);
    gnutls_free(pem.data);
    gnutls_x509_crl_deinit(crl);
}

static inline int make_pki(void **state)
{
    const struct trust_crl crl = {.path = "ca.crl"};
    if (fixture_enter(state) < 0) {
        return -1;
    }
    pki.old_ca = make_ca("old");
    pki.new_ca = make_ca("new");
    pki.server = fixture_make((struct fixture_spec){.cn = "server",
                                                    .issuer = &pki.old_ca,
                                                    .dns = BACKEND_HOST,
                                                    .purpose = GNUTLS_KP_TLS_WWW_SERVER});
    fixture_add("old.crt", &pki.old_ca);
    fixture_add("new.crt", &pki.new_ca);
    write_crl();
    pki.old_trust = load_trust(&(struct trust_source){.ca = "old.crt"});
    pki.new_trust = load_trust(&(struct trust_source){.ca = "new.crt"});
    pki.revoking = load_trust(&(struct trust_source){.ca = "old.crt", .crls = &crl, .n_crls = 1});
    pki.old_identity = load_identity("gateway", &pki.old_ca);
    pki.new_identity = load_identity("gateway", &pki.new_ca);
    return 0;
}

static inline int free_pki(void **state)
{
    identity_unref(pki.old_identity);
    identity_unref(pki.new_identity);
    trust_unref(pki.old_trust);
    trust_unref(pki.new_trust);
    trust_unref(pki.revoking);
    fixture_release(&pki.old_ca);
    fixture_release(&pki.new_ca);
    fixture_release(&pki.server);
    return fixture_leave(state);
}

/* ---- a backend ---- */

struct backend_spec {
    const char *priority; /* NULL: TLS 1.3 */
    bool takes_old, takes_new;
    bool asks_not;    /* for a certificate */
    bool is_deaf;     /* takes TCP, and no byte of TLS */
    bool is_mute;     /* without tickets */
    bool is_frozen;   /* does nothing after the handshake */
    bool just_leaves; /* says goodbye right after the handshake */
};

struct backend {
    struct backend_spec spec;
    int listener;
    struct addr addr;
    pthread_t thread;
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t ticket_key;
    _Atomic(int) calls, shaken, goodbyes;    /* so far */
    gnutls_session_t held[BACKEND_HELD_MAX]; /* until the end */
    int held_fds[BACKEND_HELD_MAX];
    int n_held;
};

static inline void listen_anywhere(struct backend *backend)
{
    backend->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(addr_parse_ip("127.0.0.1", 0, &backend->addr), 0);
    assert_int_equal(bind(backend->listener, &backend->addr.sa, backend->addr.len), 0);
    assert_int_equal(getsockname(backend->listener, &backend->addr.sa, &backend->addr.len), 0);
}

static inline void hold(struct backend *backend, int fd, gnutls_session_t session)
{
    if (backend->n_held == BACKEND_HELD_MAX) {
        abort();
    }
    backend->held_fds[backend->n_held] = fd;
    backend->held[backend->n_held++] = session;
}

static inline gnutls_session_t open_session(struct backend *backend, int fd)
{
    const struct backend_spec *spec = &backend->spec;
    const char *priority = spec->priority != NULL ? spec->priority : BACKEND_TLS13;
    gnutls_session_t session;
    gnutls_init(&session, GNUTLS_SERVER | (spec->is_mute ? GNUTLS_NO_TICKETS : 0));
    gnutls_priority_set_direct(session, priority, NULL);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, backend->credentials);
    if (!spec->asks_not) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(session, NULL, 0);
    }
    if (!spec->is_mute) {
        gnutls_session_ticket_enable_server(session, &backend->ticket_key);
    }
    gnutls_transport_set_int(session, fd);
    return session;
}

static inline void close_session(gnutls_session_t session, int fd)
{
    gnutls_deinit(session);
    close(fd);
}

/* To the caller's goodbye, which is answered. */
static inline void serve(struct backend *backend, gnutls_session_t session)
{
    uint8_t byte;
    backend->shaken++;
    if (!backend->spec.just_leaves) {
        backend->goodbyes += gnutls_record_recv(session, &byte, 1) == 0;
    }
    gnutls_bye(session, GNUTLS_SHUT_WR);
}

static inline void answer(struct backend *backend, int fd)
{
    const struct timeval patience = {.tv_sec = BACKEND_WAIT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    gnutls_session_t session = open_session(backend, fd);
    int rc = gnutls_handshake(session);
    if (rc == 0 && backend->spec.is_frozen) {
        backend->shaken++;
        hold(backend, fd, session);
        return;
    }
    if (rc == 0) {
        serve(backend, session);
    } else {
        gnutls_alert_send_appropriate(session, rc);
    }
    close_session(session, fd);
}

static inline void *run_backend(void *arg)
{
    struct backend *backend = arg;
    int fd;
    while ((fd = accept(backend->listener, NULL, NULL)) >= 0) {
        backend->calls++;
        if (backend->spec.is_deaf) {
            hold(backend, fd, NULL);
        } else {
            answer(backend, fd);
        }
    }
    return NULL;
}

static inline struct backend *open_backend(struct backend_spec spec)
{
    struct backend *backend = calloc(1, sizeof(*backend));
    assert_non_null(backend);
    backend->spec = spec;
    fixture_ok(gnutls_certificate_allocate_credentials(&backend->credentials));
    fixture_ok(
        gnutls_certificate_set_x509_key(backend->credentials, &pki.server.crt, 1, pki.server.key));
    if (spec.takes_old) {
        fixture_ok(gnutls_certificate_set_x509_trust(backend->credentials, &pki.old_ca.crt, 1));
    }
    if (spec.takes_new) {
        fixture_ok(gnutls_certificate_set_x509_trust(backend->credentials, &pki.new_ca.crt, 1));
    }
    fixture_ok(gnutls_session_ticket_key_generate(&backend->ticket_key));
    listen_anywhere(backend);
    assert_int_equal(listen(backend->listener, BACKEND_HELD_MAX), 0);
    assert_int_equal(pthread_create(&backend->thread, NULL, run_backend, backend), 0);
    return backend;
}

static inline void close_backend(struct backend *backend)
{
    shutdown(backend->listener, SHUT_RDWR);
    pthread_join(backend->thread, NULL);
    close(backend->listener);
    for (int i = 0; i < backend->n_held; i++) {
        close(backend->held_fds[i]);
        if (backend->held[i] != NULL) {
            gnutls_deinit(backend->held[i]);
        }
    }
    gnutls_certificate_free_credentials(backend->credentials);
    gnutls_memset(backend->ticket_key.data, 0, backend->ticket_key.size);
    gnutls_free(backend->ticket_key.data);
    free(backend);
}
