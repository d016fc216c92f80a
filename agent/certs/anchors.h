/* The CAs of a trust as a set. For the room certs/ only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/x509.h>

struct anchor_print {
    uint8_t sha256[32];
};

struct anchors {
    struct anchor_print *prints; /* of the certificates; sorted, each once */
    size_t n;
};

/* Returns -1 when memory is out. The caller releases what it got. */
int anchors_of(gnutls_x509_crt_t *crts, size_t n, struct anchors *ret_anchors);

bool anchors_have(const struct anchors *anchors, gnutls_x509_crt_t crt);
bool anchors_equal(const struct anchors *a, const struct anchors *b);
void anchors_release(struct anchors *anchors);
