#include "tls/evidence.h"

#include "base/cleanup.h"
#include "certs/der.h"
#include "certs/release.h"
#include "tls/pin.h"
#include "tls/tls_fields.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(EVIDENCE_PIN_MAX >= PIN_TEXT_MAX, "a pin fits into the evidence");

void evidence_init(struct evidence *evidence)
{
    *evidence = (struct evidence){.alert = -1};
}

static void note_pin(gnutls_x509_crt_t leaf, char text[static PIN_TEXT_MAX])
{
    uint8_t sha256[PIN_BYTES];
    if (pin_of(leaf, sha256) == 0) {
        pin_format(sha256, text);
    }
}

static void note_chain(struct evidence *evidence, gnutls_session_t session)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    for (unsigned i = 0; chain != NULL && i < n && i < EVIDENCE_CHAIN_MAX; i++) {
        AUTO(release_crt) gnutls_x509_crt_t crt = NULL;
        if (der_import(&chain[i], &crt) < 0 ||
            handles_inspect(crt, &evidence->chain[evidence->n_chain]) < 0) {
            return;
        }
        evidence->n_chain++;
        if (i == 0) {
            note_pin(crt, evidence->pin);
        }
    }
}

void evidence_take(struct evidence *evidence, const struct tls *tls)
{
    if (evidence->n_chain == 0) {
        note_chain(evidence, tls->session);
    }
    evidence->asked = tls->asking.asked;
    /* It is chosen before the backend is judged, and sent behind that. */
    evidence->sent =
        tls->verified && !tls->withheld && gnutls_certificate_get_ours(tls->session) != NULL;
    evidence->issuer_matched = tls->asking.issuer_matched;
    evidence->alert = tls->alert;
    if (tls->asking.accepted != NULL) {
        free(evidence->accepted);
        evidence->accepted = strdup(tls->asking.accepted);
    }
}

void evidence_release(struct evidence *evidence)
{
    for (size_t i = 0; i < evidence->n_chain; i++) {
        inspect_release(&evidence->chain[i]);
    }
    free(evidence->accepted);
    evidence_init(evidence);
}
