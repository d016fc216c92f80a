#include "certs/anchors.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct anchor_print));
}

static int print_of(gnutls_x509_crt_t crt, struct anchor_print *ret_print)
{
    size_t size = sizeof(ret_print->sha256);
    return gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, ret_print->sha256, &size) < 0
               ? -1
               : 0;
}

/* Drops what comes twice. */
static void make_unique(struct anchors *anchors)
{
    size_t n = 0;
    for (size_t i = 0; i < anchors->n; i++) {
        if (n == 0 || compare(&anchors->prints[n - 1], &anchors->prints[i]) != 0) {
            anchors->prints[n++] = anchors->prints[i];
        }
    }
    anchors->n = n;
}

int anchors_of(gnutls_x509_crt_t *crts, size_t n, struct anchors *ret_anchors)
{
    struct anchors anchors = {calloc(n > 0 ? n : 1, sizeof(struct anchor_print)), n};
    if (anchors.prints == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (print_of(crts[i], &anchors.prints[i]) < 0) {
            anchors_release(&anchors);
            return -1;
        }
    }
    qsort(anchors.prints, n, sizeof(anchors.prints[0]), compare);
    make_unique(&anchors);
    *ret_anchors = anchors;
    return 0;
}

bool anchors_have(const struct anchors *anchors, gnutls_x509_crt_t crt)
{
    struct anchor_print print;
    return print_of(crt, &print) == 0 &&
           bsearch(&print, anchors->prints, anchors->n, sizeof(print), compare) != NULL;
}

bool anchors_equal(const struct anchors *a, const struct anchors *b)
{
    return a->n == b->n && memcmp(a->prints, b->prints, a->n * sizeof(a->prints[0])) == 0;
}

void anchors_release(struct anchors *anchors)
{
    free(anchors->prints);
    *anchors = (struct anchors){NULL, 0};
}
