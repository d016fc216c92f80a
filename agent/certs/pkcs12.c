#include "certs/pkcs12.h"

#include "base/cleanup.h"
#include "base/secret.h"
#include "certs/der.h"
#include "certs/form.h"
#include "certs/key.h"
#include "certs/release.h"

#include <stdint.h>
#include <string.h>

#include <gnutls/pkcs12.h>

#define FILE_MAX         ((size_t)256 * 1024) /* bytes */
#define BAGS_MAX         32
#define CERTIFICATES_MAX 32

/* What GnuTLS reads of one bag; more is left out without a word. */
#define BAG_ELEMENTS_MAX 32

/* Of hashing, for the whole file: a few seconds on a slow host. OpenSSL writes 2048 for each of
 * three parts, the most careful others a million. */
#define ROUNDS_MAX 10000000

/* What one call of pkcs12_read() is about. */
struct reading {
    const struct identity_source *source;
    struct problems *problems;
    const char *password; /* to PKCS#12, NULL and "" are two */
    unsigned rounds_left;
    size_t n_keys;
    gnutls_x509_privkey_t key; /* the first */
    struct bundle bundle;      /* as they stand in the file */
};

static void release_reading(struct reading *reading)
{
    release_x509_privkey(&reading->key);
    bundle_release(&reading->bundle);
}

static void release_file(gnutls_pkcs12_t *file)
{
    if (*file != NULL) {
        gnutls_pkcs12_deinit(*file);
    }
}

static void release_text(char **text)
{
    gnutls_free(*text);
}

/* GnuTLS does not wipe the keys that stand in a bag in the clear. */
static void release_bag(gnutls_pkcs12_bag_t *bag)
{
    gnutls_datum_t element;
    int n = *bag != NULL ? gnutls_pkcs12_bag_get_count(*bag) : 0;
    for (int i = 0; i < n; i++) {
        if (gnutls_pkcs12_bag_get_type(*bag, (unsigned)i) == GNUTLS_BAG_PKCS8_KEY &&
            gnutls_pkcs12_bag_get_data(*bag, (unsigned)i, &element) >= 0 && element.data != NULL) {
            explicit_bzero(element.data, element.size);
        }
    }
    gnutls_pkcs12_bag_deinit(*bag);
}

/* Notes the clause, what is wrong with the file and what to do. Returns -1. */
static int refuse(const struct reading *reading, const char *clause)
{
    problems_error(reading->problems, reading->source->pkcs12_place, "%s: %s",
                   reading->source->pkcs12, clause);
    return -1;
}

/* The same, with what GnuTLS says of it between the two. */
static int refuse_for(const struct reading *reading, const char *what, int rc, const char *advice)
{
    problems_error(reading->problems, reading->source->pkcs12_place, "%s: %s (%s); %s",
                   reading->source->pkcs12, what, gnutls_strerror(rc), advice);
    return -1;
}

static int refuse_rounds(const struct reading *reading)
{
    problems_error(reading->problems, reading->source->pkcs12_place,
                   "%s: asks for more than %d rounds of hashing, which take too long; export it "
                   "again with fewer (openssl pkcs12 -export -iter 100000)",
                   reading->source->pkcs12, ROUNDS_MAX);
    return -1;
}

/* Takes rounds of hashing from the file's account, before they are computed. */
static int spend(struct reading *reading, unsigned rounds)
{
    if (rounds > reading->rounds_left) {
        return refuse_rounds(reading);
    }
    reading->rounds_left -= rounds;
    return 0;
}

/* Reads the outermost layer. */
static int open_file(const struct reading *reading, const struct secret *bytes,
                     gnutls_pkcs12_t *ret_file)
{
    AUTO(release_file) gnutls_pkcs12_t file = NULL;
    const gnutls_datum_t der = {(unsigned char *)bytes->bytes, (unsigned)bytes->len};
    const char *fault = form_fault(bytes);
    if (fault != NULL) {
        return refuse(reading, fault);
    }
    int rc = gnutls_pkcs12_init(&file);
    if (rc >= 0) {
        rc = gnutls_pkcs12_import(file, &der, GNUTLS_X509_FMT_DER, 0);
    }
    if (rc < 0) {
        return refuse_for(reading, "is not PKCS#12, or is damaged", rc, "export it again");
    }
    *ret_file = cleanup_steal(file);
    return 0;
}

static int refuse_password(const struct reading *reading, const struct secret *password)
{
    const struct identity_source *source = reading->source;
    if (source->password_file == NULL) {
        return refuse(reading,
                      "the file is encrypted; name the file of its password in password_file");
    }
    problems_error(reading->problems, source->password_place,
                   "%s: cannot be opened with the password in %s; %s", source->pkcs12,
                   source->password_file, form_password_advice(password));
    return -1;
}

/* What a file says of its MAC. */
struct mac {
    unsigned rounds;
    bool is_pbmac1; /* RFC 9579: GnuTLS 3.8.9 follows a NULL password there */
};

static int read_mac(const struct reading *reading, gnutls_pkcs12_t file, struct mac *ret_mac)
{
    AUTO(release_text) char *oid = NULL; /* GnuTLS loses it unless it is asked for */
    int rc = gnutls_pkcs12_mac_info(file, NULL, NULL, NULL, &ret_mac->rounds, &oid);
    ret_mac->is_pbmac1 = oid != NULL && strcmp(oid, "1.2.840.113549.1.5.14") == 0;
    if (rc == GNUTLS_E_UNKNOWN_HASH_ALGORITHM) {
        return refuse_for(reading, "its MAC is of an unknown kind", rc,
                          "export it again with SHA-256 (openssl pkcs12 -export -macalg sha256)");
    }
    return rc < 0 ? refuse(reading, "has no MAC, which protects it from changes; export it again "
                                    "with one (openssl pkcs12 -export without -nomac)")
                  : 0;
}

/* Checks the password and the whole file by its MAC, and keeps the password's right form. */
static int check_mac(struct reading *reading, gnutls_pkcs12_t file, const struct secret *password)
{
    struct mac mac;
    if (read_mac(reading, file, &mac) < 0 || spend(reading, mac.rounds) < 0) {
        return -1;
    }
    reading->password = password->bytes != NULL ? password->bytes : "";
    int rc = gnutls_pkcs12_verify_mac(file, reading->password);
    if (rc < 0 && password->len == 0 && !mac.is_pbmac1) {
        reading->password = NULL;
        rc = gnutls_pkcs12_verify_mac(file, NULL);
    }
    return rc < 0 ? refuse_password(reading, password) : 0;
}

static int refuse_cipher(const struct reading *reading, int rc)
{
    /* GnuTLS has a limit of its own for the rounds of one part. */
    return rc == GNUTLS_E_ILLEGAL_PARAMETER
               ? refuse_rounds(reading)
               : refuse_for(reading, "is encrypted in a way that cannot be read", rc,
                            "export it again with AES-256-CBC (openssl pkcs12 -export)");
}

static int refuse_part(const struct reading *reading, int rc)
{
    return refuse_for(reading, "a part of it is damaged, or has a password of its own", rc,
                      "export it again");
}

static int take_key(struct reading *reading, const gnutls_datum_t *der, bool is_encrypted)
{
    unsigned rounds = 0;
    if (reading->n_keys++ > 0) {
        return 0;
    }
    int rc = is_encrypted ? gnutls_pkcs8_info(der, GNUTLS_X509_FMT_DER, NULL, NULL, NULL, NULL,
                                              &rounds, NULL)
                          : 0;
    if (rc < 0) {
        return refuse_cipher(reading, rc);
    }
    if (spend(reading, rounds) < 0) {
        return -1;
    }
    rc = gnutls_x509_privkey_init(&reading->key);
    if (rc >= 0) {
        unsigned flags = !is_encrypted               ? GNUTLS_PKCS_PLAIN
                         : reading->password == NULL ? GNUTLS_PKCS_NULL_PASSWORD
                                                     : 0;
        rc = gnutls_x509_privkey_import_pkcs8(reading->key, der, GNUTLS_X509_FMT_DER,
                                              reading->password, flags);
    }
    if (rc == GNUTLS_E_DECRYPTION_FAILED) {
        return refuse_part(reading, rc);
    }
    return rc < 0 ? key_refuse(reading->source, rc, reading->problems) : 0;
}

static int take_certificate(struct reading *reading, const gnutls_datum_t *der)
{
    AUTO(release_crt) gnutls_x509_crt_t crt = NULL;
    struct bundle *bundle = &reading->bundle;
    if (der_import(der, &crt) < 0) {
        return refuse(reading, "one of its certificates is damaged; export it again");
    }
    for (size_t i = 0; i < bundle->n; i++) {
        if (gnutls_x509_crt_equals(bundle->crts[i], crt) != 0) {
            return 0;
        }
    }
    if (bundle->n == CERTIFICATES_MAX) {
        return refuse(reading, "holds too many certificates; export the key's own chain alone");
    }
    if (bundle_add(bundle, crt) < 0) {
        return refuse(reading, "out of memory");
    }
    crt = NULL;
    return 0;
}

static int take_element(struct reading *reading, gnutls_pkcs12_bag_t bag, unsigned at)
{
    gnutls_datum_t der;
    int type = gnutls_pkcs12_bag_get_type(bag, at);
    int rc = gnutls_pkcs12_bag_get_data(bag, at, &der);
    if (rc < 0) {
        return refuse_part(reading, rc);
    }
    switch (type) {
    case GNUTLS_BAG_PKCS8_KEY:
    case GNUTLS_BAG_PKCS8_ENCRYPTED_KEY:
        return take_key(reading, &der, type == GNUTLS_BAG_PKCS8_ENCRYPTED_KEY);
    case GNUTLS_BAG_CERTIFICATE:
        return take_certificate(reading, &der);
    case GNUTLS_BAG_CRL:
    case GNUTLS_BAG_SECRET:
        return 0;
    default:
        /* GnuTLS stops here, and a certificate behind it would be lost. */
        return refuse(reading, "holds something that is neither key nor certificate; export the "
                               "key and its chain alone");
    }
}

static int decrypt(struct reading *reading, gnutls_pkcs12_bag_t bag)
{
    unsigned rounds;
    int rc = gnutls_pkcs12_bag_enc_info(bag, NULL, NULL, NULL, NULL, &rounds, NULL);
    if (rc < 0) {
        return refuse_cipher(reading, rc);
    }
    if (spend(reading, rounds) < 0) {
        return -1;
    }
    rc = gnutls_pkcs12_bag_decrypt(bag, reading->password);
    return rc < 0 ? refuse_part(reading, rc) : 0;
}

static int take_elements(struct reading *reading, gnutls_pkcs12_bag_t bag)
{
    if (gnutls_pkcs12_bag_get_type(bag, 0) == GNUTLS_BAG_ENCRYPTED && decrypt(reading, bag) < 0) {
        return -1;
    }
    int n = gnutls_pkcs12_bag_get_count(bag);
    if (n >= BAG_ELEMENTS_MAX) {
        return refuse(reading, "holds too many certificates; export the key's own chain alone");
    }
    for (int i = 0; i < n; i++) {
        if (take_element(reading, bag, (unsigned)i) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Takes keys and certificates out of all bags. */
static int take_all(struct reading *reading, gnutls_pkcs12_t file)
{
    for (int i = 0; i < BAGS_MAX; i++) {
        AUTO(release_bag) gnutls_pkcs12_bag_t bag = NULL;
        int rc = gnutls_pkcs12_bag_init(&bag);
        if (rc >= 0) {
            rc = gnutls_pkcs12_get_bag(file, i, bag);
        }
        if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            return 0;
        }
        if (rc < 0) {
            return refuse_part(reading, rc);
        }
        if (take_elements(reading, bag) < 0) {
            return -1;
        }
    }
    return refuse(reading, "has too many parts; export the key and its chain alone");
}

static int check_contents(const struct reading *reading)
{
    if (reading->n_keys > 1) {
        return refuse(reading, "holds several private keys; export the one that is wanted alone");
    }
    if (reading->n_keys == 0) {
        return refuse(reading, "holds no private key; export it together with its key");
    }
    if (reading->bundle.n == 0) {
        return refuse(reading, "holds a private key and no certificate; export the two together");
    }
    return 0;
}

/* Leaves the chain of the key's certificate. A root is known to whoever trusts it. */
static int keep_chain(struct reading *reading, gnutls_privkey_t key)
{
    const struct identity_source *source = reading->source;
    struct bundle *bundle = &reading->bundle;
    unsigned char id[KEY_ID_BYTES];
    if (key_id(key, id) < 0) {
        return refuse(reading, "out of memory");
    }
    size_t n = bundle_arrange(bundle, id);
    if (n == 0) {
        problems_error(reading->problems, source->pkcs12_place,
                       "%s: its key does not belong to its certificate (%s); export the two that "
                       "were made together",
                       source->pkcs12, bundle->facts[0].subject);
        return -1;
    }
    for (size_t i = n; i < bundle->n; i++) {
        if (!bundle_is_root(bundle->crts[i])) {
            problems_warning(reading->problems, source->pkcs12_place,
                             "%s: the certificate %s is not in the chain of %s and is not sent; "
                             "leave it out",
                             source->pkcs12, bundle->facts[i].subject, bundle->facts[0].subject);
        }
    }
    bundle_truncate(bundle, n);
    return 0;
}

/* Reads the file and opens it with the password. */
static int read_contents(struct reading *reading)
{
    const struct identity_source *source = reading->source;
    AUTO(secret_release) struct secret bytes = {NULL, 0};
    AUTO(secret_release) struct secret password = {NULL, 0};
    AUTO(release_file) gnutls_pkcs12_t file = NULL;
    const char *why;
    bool has_password = key_password(source, reading->problems, &password) == 0;
    if (secret_read(source->pkcs12, FILE_MAX, &bytes, &why) < 0) {
        problems_error(reading->problems, source->pkcs12_place,
                       "%s: cannot read the PKCS#12 file: %s; check its name and permissions",
                       source->pkcs12, why);
        return -1;
    }
    key_warn_of_mode(source->pkcs12, source->pkcs12_place, reading->problems);
    if (open_file(reading, &bytes, &file) < 0 || !has_password ||
        check_mac(reading, file, &password) < 0 || take_all(reading, file) < 0) {
        return -1;
    }
    reading->password = NULL;
    return check_contents(reading);
}

int pkcs12_read(const struct identity_source *source, struct problems *problems,
                gnutls_privkey_t *ret_key, struct bundle *ret_chain)
{
    AUTO(release_reading)
    struct reading reading = {.source = source, .problems = problems, .rounds_left = ROUNDS_MAX};
    AUTO(release_privkey) gnutls_privkey_t key = NULL;
    if (read_contents(&reading) < 0) {
        return -1;
    }
    key = key_accept(source, reading.key, problems);
    if (key == NULL || keep_chain(&reading, key) < 0) {
        return -1;
    }
    *ret_key = cleanup_steal(key);
    *ret_chain = bundle_steal(&reading.bundle);
    return 0;
}
