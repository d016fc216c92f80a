#include "tls/san.h"

#include "base/cut.h"
#include "certs/altname.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <gnutls/gnutls.h>

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
    char text[ALTNAME_MAX + 1];
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
    char text[ALTNAME_MAX + 1];
    size_t len;
    int type;
    for (unsigned i = 0;
         (type = altname_read(crt, i, text, &len)) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++) {
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
                     const struct altname_count *count, bool allow_common_name)
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

static void tell_wanted(const struct name *names, size_t n_names, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < n_names; i++) {
        char one[256];
        cut_append(text, size, i > 0 ? " or " : "");
        cut_append(text, size, name_format(&names[i], one, sizeof(one)));
    }
}

/* Writes the common name of a certificate that has no other. */
static void tell_common_name(gnutls_x509_crt_t crt, char *text, size_t size)
{
    char name[ALTNAME_MAX + 1];
    size_t len = sizeof(name);
    bool has_one =
        gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) == 0;
    snprintf(text, size, "%s%.*s", has_one ? "the common name " : "no common name",
             has_one ? (int)(size / 2) : 0, name);
}

static bool wants_dns(const struct name *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i].kind == NAME_DNS) {
            return true;
        }
    }
    return false;
}

static bool wants_spiffe(const struct name *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i].kind == NAME_URI && is_spiffe(names[i].text)) {
            return true;
        }
    }
    return false;
}

int san_check(gnutls_x509_crt_t crt, const struct name *names, size_t n_names,
              bool allow_common_name, struct failure *ret_failure)
{
    const struct altname_count count = altname_count(crt);
    for (size_t i = 0; i < n_names; i++) {
        if (has_name(crt, &names[i], &count, allow_common_name)) {
            return 0;
        }
    }

    char wanted[FAILURE_DETAIL_MAX / 2], found[FAILURE_DETAIL_MAX / 2];
    tell_wanted(names, n_names, wanted, sizeof(wanted));
    if (count.all > 0) {
        bool is_crowded = count.uri > 1 && wants_spiffe(names, n_names);
        failure_set(ret_failure, REASON_cert_name_mismatch,
                    "wanted %s; the certificate is for %s%s", wanted,
                    altname_format(crt, found, sizeof(found)),
                    is_crowded ? ", and SPIFFE allows one URI only" : "");
        return -1;
    }
    tell_common_name(crt, found, sizeof(found));
    bool may_help = !allow_common_name && wants_dns(names, n_names);
    failure_set(ret_failure, may_help ? REASON_cert_no_san : REASON_cert_name_mismatch,
                "wanted %s; the certificate has no subjectAltName, and %s", wanted, found);
    return -1;
}
