#include "certs/form.h"

#include "base/cleanup.h"
#include "certs/der.h"
#include "certs/release.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SEQUENCE 0x30

/* The size of a DER file by its own header (X.690 section 8.1.3); 0 when it does not say. */
static uint64_t size_by_header(const struct secret *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes->bytes;
    if (bytes->len < 2 || at[1] < 0x80) {
        return bytes->len < 2 ? 2 : (uint64_t)at[1] + 2;
    }
    unsigned n = at[1] & 0x7fU;
    uint64_t size = 0;
    if (n == 0 || n > 4 || bytes->len < n + 2) {
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        size = size << 8 | at[i + 2];
    }
    return size + n + 2;
}

static bool is_certificate(const struct secret *bytes)
{
    AUTO(release_crt) gnutls_x509_crt_t crt = NULL;
    const gnutls_datum_t der = {(unsigned char *)bytes->bytes, (unsigned)bytes->len};
    return der_import(&der, &crt) == 0;
}

const char *form_fault(const struct secret *bytes)
{
    static const char begin_mark[] = "-----BEGIN ";
    if (bytes->len == 0) {
        return "the file is empty; put the PKCS#12 file (.pfx, .p12) there";
    }
    if (bytes->bytes[0] != SEQUENCE) {
        return memmem(bytes->bytes, bytes->len, begin_mark, strlen(begin_mark)) != NULL
                   ? "is PEM, not PKCS#12; name it in cert and key instead"
                   : "is not PKCS#12; give a .pfx or .p12 file";
    }
    if (size_by_header(bytes) > bytes->len) {
        return "is cut short, or is not PKCS#12; copy it again";
    }
    return is_certificate(bytes) ? "is a certificate without a key, not PKCS#12; give a .pfx or "
                                   ".p12 file, or cert and key as PEM"
                                 : NULL;
}

const char *form_password_advice(const struct secret *password)
{
    AUTO(release_datum) gnutls_datum_t normal = {NULL, 0};
    if (password->len >= 3 && memcmp(password->bytes, "\xef\xbb\xbf", 3) == 0) {
        return "save that password without a byte order mark";
    }
    int rc = gnutls_utf8_password_normalize((const unsigned char *)password->bytes,
                                            (unsigned)password->len, &normal, 0);
    if (rc == GNUTLS_E_INVALID_UTF8_STRING) {
        return "save that password in UTF-8";
    }
    /* GnuTLS composes letters and their accents, and OpenSSL leaves them apart. */
    bool is_same = rc < 0 || (normal.size == password->len &&
                              memcmp(normal.data, password->bytes, normal.size) == 0);
    if (normal.data != NULL) {
        explicit_bzero(normal.data, normal.size);
    }
    return is_same ? "check that password"
                   : "check that password, or export the file again with one of plain letters";
}
