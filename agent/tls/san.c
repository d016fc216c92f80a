#include "tls/san.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <gnutls/gnutls.h>

#define NAME_MAX_BYTES 1024 /* of one SAN; a longer one matches nothing */
#define NAMES_TOLD     8    /* of a certificate, in a message */

/* How many names a certificate has, and how many of them are URIs. */
struct san_count {
    unsigned all, uri;
};

/* Reads the SAN with this index. Returns its type, GNUTLS_E_SHORT_MEMORY_BUFFER for one that is too
 * long, or GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE behind the last. `text` ends with a NUL. */
static int read_san(gnutls_x509_crt_t crt, unsigned index, char text[static NAME_MAX_BYTES + 1],
                    size_t *ret_len)
{
    size_t len = NAME_MAX_BYTES;
    int type = gnutls_x509_crt_get_subject_alt_name(crt, index, text, &len, NULL);
    *ret_len = type >= 0 ? len : 0;
    text[*ret_len] = '\0';
    return type;
}

static struct san_count count_sans(gnutls_x509_crt_t crt)
{
    struct san_count count = {0};
    char text[NAME_MAX_BYTES + 1];
    size_t len;
    int type;
    for (unsigned i = 0;
         (type = read_san(crt, i, text, &len)) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++) {
        /* One that cannot be read may be of any kind: it counts as all that must be alone. */
        count.all++;
        count.uri += type == GNUTLS_SAN_URI || type < 0;
        if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER) {
            break;
        }
    }
    return count;
}

/* RFC 9525 section 6.3: the wildcard is the whole left-most label and stands for one label; and no
 * certificate speaks for all that is below a public suffix of one label. `host` is normalised. */
static bool matches_dns(const char *pattern, size_t len, const char *host)
{
    const char *rest = strchr(host, '.');
    if (len > 2 && memcmp(pattern, "*.", 2) == 0 && rest != NULL) {
        pattern++;
        len--;
        host = rest;
        if (strchr(rest + 1, '.') == NULL) {
            return false;
        }
    }
    /* By length, so that a NUL inside does not shorten the name. */
    return len == strlen(host) && strncasecmp(pattern, host, len) == 0;
}

static bool has_common_name(gnutls_x509_crt_t crt, const char *host)
{
    char text[NAME_MAX_BYTES + 1];
    size_t len = sizeof(text), second = 0;
    return gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 1, 0, NULL, &second) ==
               GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE &&
           gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, text, &len) == 0 &&
           matches_dns(text, len, host);
}

/* Whether one of the names of this type is the wanted one. */
static bool has_san(gnutls_x509_crt_t crt, int wanted_type, const struct name *wanted,
                    bool (*matches)(const char *text, size_t len, const char *wanted))
{
    char text[NAME_MAX_BYTES + 1];
    size_t len;
    int type;
    for (unsigned i = 0;
         (type = read_san(crt, i, text, &len)) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++) {
        if (type == wanted_type && matches(text, len, wanted->text)) {
            return true;
        }
        if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER) {
            return false;
        }
    }
    return false;
}

static bool matches_uri(const char *uri, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(uri, wanted, len) == 0;
}

static bool is_spiffe(const char *uri)
{
    return strncasecmp(uri, "spiffe://", strlen("spiffe://")) == 0;
}

static bool has_name(gnutls_x509_crt_t crt, const struct name *wanted,
                     const struct san_count *count, bool allow_common_name)
{
    switch (wanted->kind) {
    case NAME_DNS:
        return count->all == 0 ? allow_common_name && has_common_name(crt, wanted->text)
                               : has_san(crt, GNUTLS_SAN_DNSNAME, wanted, matches_dns);
    case NAME_IP:
        return count->all > 0 && gnutls_x509_crt_check_ip(crt, wanted->ip, wanted->ip_len, 0) != 0;
    case NAME_URI:
        return (!is_spiffe(wanted->text) || count->uri == 1) &&
               has_san(crt, GNUTLS_SAN_URI, wanted, matches_uri);
    }
    return false;
}

/* Appends to a message that may be cut. */
static void tell(char *text, size_t size, const char *part)
{
    size_t len = strlen(text);
    snprintf(text + len, size - len, "%s", part);
}

static void tell_wanted(const struct name *names, size_t n_names, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < n_names; i++) {
        char one[256];
        tell(text, size, i > 0 ? " or " : "");
        tell(text, size, name_format(&names[i], one, sizeof(one)));
    }
}

static void tell_san(int type, const char *bytes, size_t len, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN];
    if (type != GNUTLS_SAN_IPADDRESS && memchr(bytes, '\0', len) != NULL) {
        tell(text, size, "a name with a NUL byte in it");
        return;
    }
    struct name name = {.text = (char *)(uintptr_t)bytes};
    switch (type) {
    case GNUTLS_SAN_DNSNAME:
        name.kind = NAME_DNS;
        break;
    case GNUTLS_SAN_URI:
        name.kind = NAME_URI;
        break;
    case GNUTLS_SAN_IPADDRESS:
        if (len != 4 && len != 16) {
            tell(text, size, "a malformed IP address");
            return;
        }
        inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, ip, sizeof(ip));
        name.kind = NAME_IP;
        name.text = ip;
        break;
    default:
        tell(text, size, "a name of another kind");
        return;
    }
    char one[256];
    tell(text, size, name_format(&name, one, sizeof(one)));
}

static void tell_found(gnutls_x509_crt_t crt, unsigned n_all, char *text, size_t size)
{
    text[0] = '\0';
    for (unsigned i = 0; i < n_all && i < NAMES_TOLD; i++) {
        char bytes[NAME_MAX_BYTES + 1];
        size_t len;
        int type = read_san(crt, i, bytes, &len);
        tell(text, size, i > 0 ? ", " : "");
        tell_san(type, bytes, len, text, size);
    }
    if (n_all > NAMES_TOLD) {
        char more[32];
        snprintf(more, sizeof(more), " and %u more", n_all - NAMES_TOLD);
        tell(text, size, more);
    }
}

int san_check(gnutls_x509_crt_t crt, const struct name *names, size_t n_names,
              bool allow_common_name, struct failure *ret_failure)
{
    const struct san_count count = count_sans(crt);
    for (size_t i = 0; i < n_names; i++) {
        if (has_name(crt, &names[i], &count, allow_common_name)) {
            return 0;
        }
    }

    char wanted[FAILURE_DETAIL_MAX / 2], found[FAILURE_DETAIL_MAX / 2];
    tell_wanted(names, n_names, wanted, sizeof(wanted));
    if (count.all == 0 && !allow_common_name) {
        failure_set(ret_failure, REASON_cert_no_san,
                    "wanted %s; the certificate has no subjectAltName", wanted);
        return -1;
    }
    tell_found(crt, count.all, found, sizeof(found));
    failure_set(ret_failure, REASON_cert_name_mismatch, "wanted %s; the certificate is for %s",
                wanted, count.all > 0 ? found : "another common name");
    return -1;
}
