#include "certs/inspect.h"

#include "certs/altname.h"
#include "certs/handles.h"

#include <stdlib.h>
#include <string.h>

#define SECONDS_PER_DAY 86400
#define NAMES_MAX       512 /* bytes of a certificate's names, the final NUL included */

/* Copies out of GnuTLS's memory. A name that it cannot read, or that is empty, is "". */
static char *dn_text(gnutls_x509_crt_t crt,
                     int (*get)(gnutls_x509_crt_t, gnutls_datum_t *, unsigned))
{
    gnutls_datum_t dn = {NULL, 0};
    if (get(crt, &dn, 0) < 0) {
        return strdup("");
    }
    char *text = strdup(dn.data != NULL ? (const char *)dn.data : "");
    gnutls_free(dn.data);
    return text;
}

/* Version 1 has no basicConstraints: such a root is known by having signed itself, which is also
 * how GnuTLS takes it. */
static bool is_authority(gnutls_x509_crt_t crt)
{
    if (gnutls_x509_crt_get_version(crt) == 1) {
        return gnutls_x509_crt_check_issuer(crt, crt) == 1;
    }
    return gnutls_x509_crt_get_ca_status(crt, NULL) > 0;
}

int handles_inspect(gnutls_x509_crt_t crt, struct inspect_facts *ret_facts)
{
    char names[NAMES_MAX];
    struct inspect_facts facts = {
        .subject = dn_text(crt, gnutls_x509_crt_get_dn3),
        .issuer = dn_text(crt, gnutls_x509_crt_get_issuer_dn3),
        .names = strdup(altname_format(crt, names, sizeof(names))),
        .not_before = gnutls_x509_crt_get_activation_time(crt),
        .not_after = gnutls_x509_crt_get_expiration_time(crt),
        .is_ca = is_authority(crt),
        .is_for_clients = gnutls_x509_crt_check_key_purpose(crt, GNUTLS_KP_TLS_WWW_CLIENT,
                                                            GNUTLS_KP_FLAG_DISALLOW_ANY) != 0,
    };
    if (facts.subject == NULL || facts.issuer == NULL || facts.names == NULL) {
        inspect_release(&facts);
        return -1;
    }
    *ret_facts = facts;
    return 0;
}

long inspect_days_left(const struct inspect_facts *facts, time_t now)
{
    time_t left = facts->not_after - now;
    /* Rounded down, so that the first second past the end already counts as -1. */
    return (long)(left >= 0 ? left / SECONDS_PER_DAY : -((-left - 1) / SECONDS_PER_DAY) - 1);
}

void inspect_release(struct inspect_facts *facts)
{
    free(facts->subject);
    free(facts->issuer);
    free(facts->names);
    *facts = (struct inspect_facts){0};
}
