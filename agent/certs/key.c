#include "certs/key.h"

#include "base/cleanup.h"
#include "certs/pem.h"
#include "certs/release.h"

#include <string.h>
#include <sys/stat.h>

#include <gnutls/x509.h>

#define PASSWORD_FILE_MAX 4096 /* bytes */

/* A signature takes time with the cube of this: 16384 bits would block a worker for a second. */
#define RSA_BITS_MAX 8192

/* Reading by the group is how a key of root is lent to our user, and fine. */
void key_warn_of_mode(const char *path, struct place place, struct problems *problems)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        return;
    }
    unsigned mode = status.st_mode & 07777;
    if ((mode & S_IROTH) != 0) {
        problems_warning(problems, place,
                         "%s: anyone on this host may read it (mode %04o); chmod o= it", path,
                         mode);
    }
    if ((mode & (S_IWGRP | S_IWOTH)) != 0) {
        problems_warning(problems, place,
                         "%s: others than its owner may change it (mode %04o); chmod go-w it", path,
                         mode);
    }
}

int key_password(const struct identity_source *source, struct problems *problems,
                 struct secret *ret_password)
{
    const char *path = source->password_file, *why;
    if (path == NULL) {
        return 0;
    }
    if (secret_read(path, PASSWORD_FILE_MAX, ret_password, &why) < 0) {
        problems_error(problems, source->password_place,
                       "%s: cannot read the password: %s; check its name and permissions", path,
                       why);
        return -1;
    }
    key_warn_of_mode(path, source->password_place, problems);
    secret_chomp(ret_password);
    if (memchr(ret_password->bytes, '\0', ret_password->len) != NULL) {
        problems_error(problems, source->password_place,
                       "%s: the password contains a NUL byte; write it as plain text", path);
        return -1;
    }
    return 0;
}

/* Finds the one private key of a file. */
static int find_key(const struct identity_source *source, const struct secret *text,
                    struct problems *problems, struct pem_block *ret_block)
{
    struct pem_cursor cursor = pem_start(text);
    struct pem_block block;
    size_t n_keys = 0, n_certificates = 0;
    int found;
    while ((found = pem_next(&cursor, &block)) > 0) {
        n_certificates += pem_is(&block, "CERTIFICATE");
        if (pem_is_key(&block)) {
            *ret_block = block;
            n_keys++;
        }
    }
    if (found < 0) {
        problems_error(
            problems, source->key_place,
            "%s: BEGIN and END do not pair up at line %u; the file is damaged or cut short",
            source->key, block.line);
        return -1;
    }
    if (n_keys != 1) {
        problems_error(problems, source->key_place,
                       "%s: holds %s; give the file of one private key", source->key,
                       n_keys > 1            ? "several private keys"
                       : n_certificates == 0 ? "no private key"
                                             : "a certificate and no private key");
        return -1;
    }
    return 0;
}

/* OpenSSL's older way, with headers of RFC 1421 inside the block. */
static bool is_legacy_encrypted(const struct pem_block *block)
{
    static const char header[] = "Proc-Type: 4,ENCRYPTED";
    return memmem(block->text.data, block->text.size, header, strlen(header)) != NULL;
}

static int decrypt(const struct identity_source *source, const struct pem_block *block,
                   const struct secret *password, gnutls_x509_privkey_t key,
                   struct problems *problems)
{
    if (source->password_file == NULL) {
        problems_error(problems, source->key_place,
                       "%s: the key is encrypted; name the file of its password in password_file",
                       source->key);
        return -1;
    }
    int rc = is_legacy_encrypted(block)
                 ? gnutls_x509_privkey_import_openssl(key, &block->text, password->bytes)
                 : gnutls_x509_privkey_import_pkcs8(key, &block->text, GNUTLS_X509_FMT_PEM,
                                                    password->bytes, 0);
    if (rc < 0) {
        problems_error(problems, source->password_place,
                       "%s: the key cannot be decrypted with the password in %s (%s); check that "
                       "password",
                       source->key, source->password_file, gnutls_strerror(rc));
        return -1;
    }
    return 0;
}

int key_refuse(const struct identity_source *source, int rc, struct problems *problems)
{
    problems_error(problems, source->key_place,
                   "%s: the key is damaged, or of a kind that TLS does not use (%s); replace it "
                   "(EC P-256 is a good kind)",
                   source->key, gnutls_strerror(rc));
    return -1;
}

static int decode(const struct identity_source *source, const struct pem_block *block,
                  const struct secret *password, gnutls_x509_privkey_t key,
                  struct problems *problems)
{
    if (pem_is(block, "ENCRYPTED PRIVATE KEY") || is_legacy_encrypted(block)) {
        return decrypt(source, block, password, key, problems);
    }
    if (source->password_file != NULL) {
        problems_warning(problems, source->password_place,
                         "%s: the key is not encrypted; password_file is not needed", source->key);
    }
    int rc = gnutls_x509_privkey_import2(key, &block->text, GNUTLS_X509_FMT_PEM, NULL,
                                         GNUTLS_PKCS_PLAIN);
    return rc < 0 ? key_refuse(source, rc, problems) : 0;
}

static int check_kind(const struct identity_source *source, gnutls_x509_privkey_t key,
                      struct problems *problems)
{
    unsigned bits = 0;
    int algorithm = gnutls_x509_privkey_get_pk_algorithm2(key, &bits);
    switch (algorithm) {
    case GNUTLS_PK_RSA:
    case GNUTLS_PK_RSA_PSS:
        if (bits > RSA_BITS_MAX) {
            problems_error(
                problems, source->key_place,
                "%s: an RSA key of %u bits takes too long for every connection; use EC P-256, "
                "or RSA of at most %d bits",
                source->key, bits, RSA_BITS_MAX);
            return -1;
        }
        break;
    case GNUTLS_PK_ECDSA:
    case GNUTLS_PK_EDDSA_ED25519:
    case GNUTLS_PK_EDDSA_ED448:
        break;
    default:
        problems_error(problems, source->key_place,
                       "%s: TLS does not use keys of the kind %s; use EC P-256, RSA or Ed25519",
                       source->key, gnutls_pk_get_name((gnutls_pk_algorithm_t)algorithm));
        return -1;
    }
    if (gnutls_pk_bits_to_sec_param((gnutls_pk_algorithm_t)algorithm, bits) <
        GNUTLS_SEC_PARAM_MEDIUM) {
        problems_warning(problems, source->key_place,
                         "%s: a key of %u bits is weak, and backends may refuse it; use EC P-256",
                         source->key, bits);
    }
    return 0;
}

/* Signs and verifies: a key whose parts do not fit together would fail every handshake. */
static bool can_sign(gnutls_privkey_t key)
{
    static unsigned char text[] = "mtls-agent";
    const gnutls_datum_t message = {text, sizeof(text)};
    AUTO(release_datum) gnutls_datum_t signature = {NULL, 0};
    AUTO(release_pubkey) gnutls_pubkey_t public = NULL;
    gnutls_digest_algorithm_t digest;
    if (gnutls_pubkey_init(&public) < 0 || gnutls_pubkey_import_privkey(public, key, 0, 0) < 0 ||
        gnutls_pubkey_get_preferred_hash_algorithm(public, &digest, NULL) < 0) {
        return false;
    }
    gnutls_sign_algorithm_t algorithm =
        gnutls_pk_to_sign((gnutls_pk_algorithm_t)gnutls_privkey_get_pk_algorithm(key, NULL),
                          digest);
    return gnutls_privkey_sign_data2(key, algorithm, 0, &message, &signature) >= 0 &&
           gnutls_pubkey_verify_data2(public, algorithm, 0, &message, &signature) >= 0;
}

/* Makes the form that signs. Both are the key: the result holds a copy. */
static gnutls_privkey_t make_signer(const struct identity_source *source, gnutls_x509_privkey_t key,
                                    struct problems *problems)
{
    AUTO(release_privkey) gnutls_privkey_t signer = NULL;
    if (gnutls_privkey_init(&signer) < 0 ||
        gnutls_privkey_import_x509(signer, key, GNUTLS_PRIVKEY_IMPORT_COPY) < 0) {
        problems_error(problems, source->key_place, "%s: out of memory", source->key);
        return NULL;
    }
    if (!can_sign(signer)) {
        problems_error(problems, source->key_place,
                       "%s: the key cannot sign: its parts do not fit together; replace it",
                       source->key);
        return NULL;
    }
    return cleanup_steal(signer);
}

gnutls_privkey_t key_accept(const struct identity_source *source, gnutls_x509_privkey_t key,
                            struct problems *problems)
{
    return check_kind(source, key, problems) < 0 ? NULL : make_signer(source, key, problems);
}

gnutls_privkey_t key_read(const struct identity_source *source, struct problems *problems)
{
    AUTO(secret_release) struct secret text = {NULL, 0};
    AUTO(secret_release) struct secret password = {NULL, 0};
    AUTO(release_x509_privkey) gnutls_x509_privkey_t key = NULL;
    struct pem_block block;

    bool has_password = key_password(source, problems, &password) == 0;
    if (pem_read(source->key, "private key", source->key_place, problems, &text) < 0) {
        return NULL;
    }
    key_warn_of_mode(source->key, source->key_place, problems);
    if (find_key(source, &text, problems, &block) < 0 || !has_password) {
        return NULL;
    }
    if (gnutls_x509_privkey_init(&key) < 0) {
        problems_error(problems, source->key_place, "%s: out of memory", source->key);
        return NULL;
    }
    return decode(source, &block, &password, key, problems) < 0 ? NULL
                                                                : key_accept(source, key, problems);
}

int key_id(gnutls_privkey_t key, unsigned char ret_id[static KEY_ID_BYTES])
{
    AUTO(release_pubkey) gnutls_pubkey_t public = NULL;
    size_t size = KEY_ID_BYTES;
    if (gnutls_pubkey_init(&public) < 0 || gnutls_pubkey_import_privkey(public, key, 0, 0) < 0 ||
        gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, ret_id, &size) < 0) {
        return -1;
    }
    return 0;
}

bool key_is_of(gnutls_x509_crt_t crt, const unsigned char id[static KEY_ID_BYTES])
{
    unsigned char own[KEY_ID_BYTES];
    size_t size = sizeof(own);
    return gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, own, &size) >= 0 &&
           memcmp(own, id, sizeof(own)) == 0;
}
