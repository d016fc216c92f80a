#include "certs/handles.h"

#include "base/cleanup.h"
#include "certs/release.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPTED_TOLD 4   /* issuers named in a message; a backend may name hundreds */
#define ACCEPTED_MAX  400 /* bytes of them, the final NUL included */

/* True when the backend accepts an issuer of our chain, or says nothing about issuers. */
static bool accepts_issuer(const struct gnutls_cert_retr_st *request,
                           const struct handles_identity *ours)
{
    for (unsigned i = 0; i < request->nreqs; i++) {
        const gnutls_datum_t *accepted = &request->req_ca_rdn[i];
        for (unsigned j = 0; j < ours->n_chain; j++) {
            if (accepted->size == ours->issuers[j].size &&
                memcmp(accepted->data, ours->issuers[j].data, accepted->size) == 0) {
                return true;
            }
        }
    }
    return request->nreqs == 0;
}

/* "CN=A or CN=B or 12 more"; NULL when there is none, or memory is out. */
static char *tell_accepted(const struct gnutls_cert_retr_st *request)
{
    char text[ACCEPTED_MAX] = "";
    size_t len = 0;
    unsigned n = (unsigned)request->nreqs, told = n <= ACCEPTED_TOLD ? n : ACCEPTED_TOLD;
    for (unsigned i = 0; i < told && len < sizeof(text); i++) {
        AUTO(release_datum) gnutls_datum_t dn = {0};
        bool is_readable = gnutls_x509_rdn_get2(&request->req_ca_rdn[i], &dn, 0) >= 0;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? " or " : "",
                                is_readable ? (const char *)dn.data : "an unreadable name");
    }
    if (told < n && len < sizeof(text)) {
        snprintf(text + len, sizeof(text) - len, " or %u more", n - told);
    }
    return n > 0 ? strdup(text) : NULL;
}

static void note_request(struct handles_session *context, const struct gnutls_cert_retr_st *request,
                         const struct handles_identity *ours)
{
    context->asked = true;
    context->issuer_matched = accepts_issuer(request, ours);
    free(context->accepted);
    context->accepted =
        !context->issuer_matched || context->notes_accepted ? tell_accepted(request) : NULL;
}

/* The curves of 256 bits have code of their own in nettle; the others, and RSA, have not. */
bool handles_signs_slowly(const struct identity *identity)
{
    unsigned bits = 0;
    int kind = gnutls_privkey_get_pk_algorithm(handles_of_identity(identity)->key, &bits);
    return kind != GNUTLS_PK_EDDSA_ED25519 && (kind != GNUTLS_PK_ECDSA || bits > 256);
}

int handles_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *request,
                     gnutls_pcert_st **ret_chain, unsigned *ret_n_chain,
                     gnutls_ocsp_data_st **ret_staples, unsigned *ret_n_staples,
                     gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
    static const struct handles_identity nothing;
    struct handles_session *context = gnutls_session_get_ptr(session);
    const struct handles_identity *ours =
        context->identity != NULL ? handles_of_identity(context->identity) : &nothing;
    note_request(context, request, ours);
    *ret_chain = ours->chain;
    *ret_n_chain = ours->n_chain;
    *ret_key = ours->key;
    *ret_staples = NULL;
    *ret_n_staples = 0;
    *ret_flags = 0;
    return 0;
}
