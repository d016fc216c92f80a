#include "certs/der.h"

int der_import(const gnutls_datum_t *der, gnutls_x509_crt_t *ret_crt)
{
    if (gnutls_x509_crt_init(ret_crt) < 0) {
        *ret_crt = NULL;
        return -1;
    }
    return gnutls_x509_crt_import(*ret_crt, der, GNUTLS_X509_FMT_DER) < 0 ? -1 : 0;
}
