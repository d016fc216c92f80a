/* What a session saw of its peer, kept for a diagnosis. The data path keeps none. */
#pragma once

#include "certs/inspect.h"

#include <stdbool.h>
#include <stddef.h>

#define EVIDENCE_CHAIN_MAX 16 /* certificates that are kept */
#define EVIDENCE_PIN_MAX   64 /* bytes of a pin as text, the final NUL included */

struct evidence {
    struct inspect_facts chain[EVIDENCE_CHAIN_MAX]; /* as the peer sent it */
    size_t n_chain;
    char pin[EVIDENCE_PIN_MAX]; /* "sha256:BASE64" of the leaf's key; "" when unknown */
    bool asked;                 /* the peer asked for a certificate */
    bool sent;                  /* ours went out */
    bool issuer_matched;        /* it accepts an issuer of our chain, or named none */
    char *accepted;             /* issuers that it accepts, for people; NULL: it named none */
    int alert;                  /* the alert that it sent; -1: none */
};

/* Starts empty. */
void evidence_init(struct evidence *evidence);

struct tls;

/* Notes what an observed session has seen until now, also one that has failed. */
void evidence_take(struct evidence *evidence, const struct tls *tls);

/* Frees what the evidence owns. */
void evidence_release(struct evidence *evidence);
