/* An identity: a certificate chain and its private key, loaded and checked once, then immutable and
 * shared by reference count. */
#pragma once

#include "base/problems.h"
#include "certs/inspect.h"

#include <stddef.h>

struct identity;

/* Where an identity's files are, and where the configuration says so. */
struct identity_source {
    const char *cert;          /* PEM, leaf first */
    const char *key;           /* PEM: PKCS#8, PKCS#1 or SEC1, encrypted or not */
    const char *pkcs12;        /* instead of the two; NULL: they are given */
    const char *password_file; /* NULL: none */
    struct place cert_place, key_place, pkcs12_place, password_place;
};

/* Loads and checks an identity: the key matches the leaf, the chain is in order, key usage allows
 * signing; all of what is wrong is noted as errors. A file that others may read, dates and a
 * missing clientAuth purpose are warnings, and so is what a PKCS#12 file holds besides the chain.
 * Never asks for a password. Returns a reference, or NULL after noting at least one error. */
struct identity *identity_load(const struct identity_source *source, struct problems *problems);

/* Warns of dates as loading it does: they may have come meanwhile. */
void identity_warn_of_dates(const struct identity *identity, const struct identity_source *source,
                            struct problems *problems);

struct identity *identity_ref(struct identity *identity);
struct identity *identity_unref(struct identity *identity); /* accepts NULL; returns NULL */

/* The facts of the chain, leaf first; they live as long as the identity. */
const struct inspect_facts *identity_facts(const struct identity *identity, size_t *ret_n);
