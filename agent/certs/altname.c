#include "certs/altname.h"

#include "base/cut.h"
#include "base/name.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define NAMES_TOLD 8   /* in a message */
#define ONE_MAX    256 /* bytes of one of them */
#define MORE_MAX   24  /* bytes of " and 4294967295 more" */

int altname_read(gnutls_x509_crt_t crt, unsigned index, char text[static ALTNAME_MAX + 1],
                 size_t *ret_len)
{
    size_t len = ALTNAME_MAX;
    int type = gnutls_x509_crt_get_subject_alt_name(crt, index, text, &len, NULL);
    *ret_len = type >= 0 ? len : 0;
    text[*ret_len] = '\0';
    return type;
}

struct altname_count altname_count(gnutls_x509_crt_t crt)
{
    struct altname_count count = {0};
    char text[ALTNAME_MAX + 1];
    size_t len;
    int type;
    for (unsigned i = 0;
         (type = altname_read(crt, i, text, &len)) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++) {
        count.all++;
        count.uri += type == GNUTLS_SAN_URI || type < 0;
        if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER) {
            break;
        }
    }
    return count;
}

static void tell_one(int type, const char *bytes, size_t len, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN];
    if (type != GNUTLS_SAN_IPADDRESS && memchr(bytes, '\0', len) != NULL) {
        cut_append(text, size, "a name with a NUL byte in it");
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
            cut_append(text, size, "a malformed IP address");
            return;
        }
        inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, ip, sizeof(ip));
        name.kind = NAME_IP;
        name.text = ip;
        break;
    default:
        cut_append(text, size, "a name of another kind");
        return;
    }
    char one[ONE_MAX];
    cut_append(text, size, name_format(&name, one, sizeof(one)));
}

const char *altname_format(gnutls_x509_crt_t crt, char *text, size_t size)
{
    unsigned n = altname_count(crt).all, told = 0;
    text[0] = '\0';
    while (told < n && told < NAMES_TOLD) {
        char bytes[ALTNAME_MAX + 1], one[ONE_MAX] = "";
        size_t len;
        int type = altname_read(crt, told, bytes, &len);
        tell_one(type, bytes, len, one, sizeof(one));
        /* A name that is cut reads like another one. */
        if (told > 0 && strlen(text) + strlen(one) + MORE_MAX > size) {
            break;
        }
        cut_append(text, size, told > 0 ? ", " : "");
        cut_append(text, size, one);
        told++;
    }
    if (told < n) {
        char more[MORE_MAX];
        snprintf(more, sizeof(more), " and %u more", n - told);
        cut_append(text, size, more);
    }
    return text;
}
