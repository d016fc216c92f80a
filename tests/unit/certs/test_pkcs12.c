#include "certs/handles.h"
#include "certs/identity.h"

#include <gnutls/pkcs12.h>

#include "fixture.h"

#define PLACE "agent.conf:2: "

static const struct place place = {"agent.conf", 2};
static const struct place password_place = {"agent.conf", 3};

/* root - outer - inner - leaf, and what does not belong to it. */
static struct fixture_cert root, outer, inner, leaf, renewed, alone, stranger, other_root;

/* A file that OpenSSL would not make; ends with NULL. */
struct contents {
    const char *password; /* NULL: none, which is not "" */
    const struct fixture_cert *keys[4];
    const struct fixture_cert *certs[8];
};

static struct identity *load(const char *path, const char *password_file, struct problems *problems)
{
    const struct identity_source source = {
        .pkcs12 = path,
        .password_file = password_file,
        .pkcs12_place = place,
        .password_place = password_place,
    };
    return identity_load(&source, problems);
}

static gnutls_pkcs12_bag_t new_bag(void)
{
    gnutls_pkcs12_bag_t bag;
    fixture_ok(gnutls_pkcs12_bag_init(&bag));
    return bag;
}

static void close_bag(gnutls_pkcs12_t file, gnutls_pkcs12_bag_t bag)
{
    fixture_ok(gnutls_pkcs12_set_bag(file, bag));
    gnutls_pkcs12_bag_deinit(bag);
}

/* In the clear, which is quick, for OpenSSL's files have bags encrypted with a password. */
static void add_certs(gnutls_pkcs12_t file, const struct contents *contents)
{
    gnutls_pkcs12_bag_t bag = new_bag();
    for (size_t i = 0; contents->certs[i] != NULL; i++) {
        fixture_ok(gnutls_pkcs12_bag_set_crt(bag, contents->certs[i]->crt));
    }
    if (contents->password == NULL) {
        fixture_ok(
            gnutls_pkcs12_bag_encrypt(bag, NULL,
                                      GNUTLS_PKCS_PBES2_AES_256 | GNUTLS_PKCS_NULL_PASSWORD));
    }
    close_bag(file, bag);
}

static void add_keys(gnutls_pkcs12_t file, const struct contents *contents)
{
    for (size_t i = 0; contents->keys[i] != NULL; i++) {
        gnutls_pkcs12_bag_t bag = new_bag();
        fixture_ok(
            gnutls_pkcs12_bag_set_privkey(bag, contents->keys[i]->key, NULL, GNUTLS_PKCS_PLAIN));
        close_bag(file, bag);
    }
}

static void make(const char *path, const struct contents *contents)
{
    gnutls_pkcs12_t file;
    gnutls_datum_t der;
    fixture_ok(gnutls_pkcs12_init(&file));
    add_certs(file, contents);
    add_keys(file, contents);
    fixture_ok(gnutls_pkcs12_generate_mac2(file, GNUTLS_MAC_SHA256, contents->password));
    fixture_ok(gnutls_pkcs12_export2(file, GNUTLS_X509_FMT_DER, &der));
    fixture_write(path, "w", der.data, der.size);
    assert_int_equal(chmod(path, 0600), 0);
    gnutls_free(der.data);
    gnutls_pkcs12_deinit(file);
}

static void make_certificates(void)
{
    root = fixture_make((struct fixture_spec){.cn = "Root", .is_ca = true});
    outer = fixture_make((struct fixture_spec){.cn = "Outer", .is_ca = true, .issuer = &root});
    inner = fixture_make((struct fixture_spec){.cn = "Inner", .is_ca = true, .issuer = &outer});
    leaf = fixture_make((struct fixture_spec){.cn = "leaf", .issuer = &inner});
    renewed = fixture_make((struct fixture_spec){
        .cn = "renewed", .issuer = &inner, .same_key_as = &leaf, .from_days = -1, .to_days = 500});
    alone = fixture_make((struct fixture_spec){
        .cn = "alone", .same_key_as = &leaf, .from_days = -1, .to_days = 5000});
    stranger = fixture_make((struct fixture_spec){.cn = "stranger", .issuer = &root});
    other_root = fixture_make((struct fixture_spec){.cn = "Other Root", .is_ca = true});
    fixture_add("root.crt", &root);
    fixture_add("outer.crt", &outer);
    fixture_add("inner.crt", &inner);
    fixture_add("leaf.crt", &leaf);
    fixture_add("stranger.crt", &stranger);
    fixture_write_key("leaf.key", &leaf);
}

/* A file of one certificate, of its own name. */
static void export_one(const char *name, struct fixture_spec spec)
{
    char path[64], command[256];
    spec.cn = name;
    struct fixture_cert made = fixture_make(spec);
    snprintf(path, sizeof(path), "%s.crt", name);
    fixture_add(path, &made);
    snprintf(path, sizeof(path), "%s.key", name);
    fixture_write_key(path, &made);
    snprintf(command, sizeof(command),
             "openssl pkcs12 -export -in %s.crt -inkey %s.key -passout pass:secret -out %s.pfx",
             name, name, name);
    fixture_run(command);
    fixture_release(&made);
}

static void export_kinds(void)
{
    export_one("rsa", (struct fixture_spec){.algorithm = GNUTLS_PK_RSA, .bits = 2048});
    export_one("weak", (struct fixture_spec){.algorithm = GNUTLS_PK_RSA, .bits = 1024});
    export_one("ed25519", (struct fixture_spec){.algorithm = GNUTLS_PK_EDDSA_ED25519, .bits = 256});
    export_one("expired", (struct fixture_spec){.from_days = -30, .to_days = -8});
    export_one("future", (struct fixture_spec){.from_days = 8, .to_days = 30});
    export_one("server", (struct fixture_spec){.purpose = GNUTLS_KP_TLS_WWW_SERVER});
    export_one("agreement", (struct fixture_spec){.usage = GNUTLS_KEY_KEY_AGREEMENT});
    fixture_run("openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 -out "
                "dsa.par 2>log && openssl req -x509 -newkey dsa:dsa.par -nodes -subj /CN=dsa "
                "-keyout dsa.key -out dsa.crt 2>log && openssl pkcs12 -export -in dsa.crt "
                "-inkey dsa.key -passout pass:secret -out dsa.pfx");
}

static void export_forms(void)
{
    fixture_run(
        "cat inner.crt outer.crt root.crt >above.crt; cat root.crt outer.crt inner.crt >below.crt;"
        "export='openssl pkcs12 -export -in leaf.crt -inkey leaf.key -passout'; set -e;"
        "$export pass:secret -out plain-leaf.pfx;"
        "$export pass:secret -certfile inner.crt -out inner.pfx;"
        "$export pass:secret -certfile above.crt -out above.pfx;"
        "$export pass:secret -certfile below.crt -out below.pfx;"
        "$export pass:secret -macalg sha1 -out sha1.pfx;"
        "$export pass:secret -macalg sha512 -out sha512.pfx;"
        "$export pass:secret -keypbe NONE -certpbe NONE -out clear.pfx;"
        "$export pass:secret -certpbe NONE -out clear-certs.pfx;"
        "$export pass: -out empty.pfx; $export pass: -keypbe NONE -certpbe NONE -out open.pfx;"
        "$export pass:secret -nomac -out no-mac.pfx;"
        "$export pass:p\303\244ss\342\202\254\360\237\230\200 -out utf8.pfx;"
        "$export pass:pa\314\210ss -out apart.pfx;"
        "openssl pkcs12 -export -nokeys -in leaf.crt -passout pass:secret -out no-key.pfx;"
        "openssl pkcs12 -export -nocerts -inkey leaf.key -passout pass:secret -out no-cert.pfx "
        "2>log");
    fixture_run(
        "printf secret >bare.txt; echo secret >lf.txt; printf 'secret\\r\\n' >crlf.txt;"
        "printf 'secret\\n\\n' >two.txt; echo wrong >wrong.txt; : >empty.txt;"
        "echo >newline.txt; printf 's\\0t' >nul.txt; printf 'p\\344ss' >latin.txt;"
        "printf '\\357\\273\\277secret\\r\\n' >mark.txt; printf 'pa\\314\\210ss' >apart.txt;"
        "printf 'p\\303\\244ss\\342\\202\\254\\360\\237\\230\\200\\n' >utf8.txt;"
        "chmod 600 *.txt; cp lf.txt readable.txt; chmod 644 readable.txt");
    fixture_run(
        ": >nothing.pfx; echo hello >garbage.pfx; head -c 400 above.pfx >cut.pfx;"
        "openssl x509 -in leaf.crt -outform DER -out der.pfx;"
        "openssl pkey -in leaf.key -outform DER -out key.pfx;"
        "cat leaf.crt leaf.key >pem.pfx; for i in 1 2 3 4 5 6 7 8; do cat above.crt below.crt; "
        "done >crowd.crt; openssl pkcs12 -export -in leaf.crt -inkey leaf.key -certfile "
        "crowd.crt -passout pass:secret -out crowd.pfx; head -c 300000 /dev/zero >huge.pfx;"
        "mkdir directory; chmod 600 *.pfx;"
        "cp plain-leaf.pfx readable.pfx; chmod 644 readable.pfx");
}

/* GnuTLS reads files without any password, but from 3.8.9 on it follows the NULL when it is to make
 * one. */
static bool can_make_null(void)
{
    return gnutls_check_version("3.8.9") == NULL;
}

static void make_odd_files(void)
{
    make("scrambled.pfx",
         &(struct contents){"secret", {&leaf}, {&outer, &root, &leaf, &inner, &leaf}});
    make("others.pfx", &(struct contents){"secret",
                                          {&leaf},
                                          {&stranger, &other_root, &inner, &leaf, &outer, &root}});
    make("renewed.pfx", &(struct contents){"secret", {&leaf}, {&leaf, &alone, &renewed, &inner}});
    make("alone.pfx", &(struct contents){"secret", {&alone}, {&alone}});
    make("two-keys.pfx", &(struct contents){"secret", {&leaf, &stranger}, {&leaf, &stranger}});
    make("another-key.pfx", &(struct contents){"secret", {&stranger}, {&leaf, &inner}});
    if (can_make_null()) {
        make("null.pfx", &(struct contents){NULL, {&leaf}, {&leaf}});
    }
}

static void release_certificates(void)
{
    struct fixture_cert *const all[] = {&root,    &outer, &inner,    &leaf,
                                        &renewed, &alone, &stranger, &other_root};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        fixture_release(all[i]);
    }
}

static void make_files(void)
{
    make_certificates();
    export_kinds();
    export_forms();
    make_odd_files();
    release_certificates();
}

/* The files take many rounds of hashing. So this program makes them as a command of its own, which
 * valgrind does not follow. */
static int have_files_made(void **state)
{
    char command[4200];
    if (fixture_enter(state) < 0) {
        return -1;
    }
    char *self = realpath("/proc/self/exe", NULL);
    assert_non_null(self);
    snprintf(command, sizeof(command), "'%s' make-files", self);
    free(self);
    fixture_run(command);
    return 0;
}

/* Loads a good file and expects its chain, "leaf Inner", and one warning or none. */
static void expect_chain(const char *path, const char *password_file, const char *chain,
                         const char *warning)
{
    struct problems *problems = problems_new();
    char subjects[256] = "";
    size_t n, len = 0;
    struct identity *identity = load(path, password_file, problems);
    fixture_expect(problems, warning);
    assert_non_null(identity);
    const struct inspect_facts *facts = identity_facts(identity, &n);
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(subjects + len, sizeof(subjects) - len, "%s%s", i > 0 ? " " : "",
                                facts[i].subject + strlen("CN="));
    }
    assert_string_equal(subjects, chain);
    assert_int_equal(handles_of_identity(identity)->n_chain, n);
    identity_unref(identity);
    problems_free(problems);
}

static void every_form_loads(void **state)
{
    (void)state;
    static const struct {
        const char *path, *password_file, *chain;
    } cases[] = {
        {"plain-leaf.pfx", "lf.txt", "leaf"},
        {"plain-leaf.pfx", "crlf.txt", "leaf"},
        {"plain-leaf.pfx", "bare.txt", "leaf"},
        {"sha1.pfx", "lf.txt", "leaf"},
        {"sha512.pfx", "lf.txt", "leaf"},
        {"clear.pfx", "lf.txt", "leaf"},
        {"clear-certs.pfx", "lf.txt", "leaf"},
        {"inner.pfx", "lf.txt", "leaf Inner"},
        {"above.pfx", "lf.txt", "leaf Inner Outer"},
        {"below.pfx", "lf.txt", "leaf Inner Outer"},
        {"scrambled.pfx", "lf.txt", "leaf Inner Outer"},
        {"rsa.pfx", "lf.txt", "rsa"},
        {"ed25519.pfx", "lf.txt", "ed25519"},
        {"alone.pfx", "lf.txt", "alone"},
        {"utf8.pfx", "utf8.txt", "leaf"},
        {"empty.pfx", NULL, "leaf"},
        {"empty.pfx", "empty.txt", "leaf"},
        {"empty.pfx", "newline.txt", "leaf"},
        {"open.pfx", NULL, "leaf"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_chain(cases[i].path, cases[i].password_file, cases[i].chain, NULL);
    }
    if (can_make_null()) {
        expect_chain("null.pfx", NULL, "leaf", NULL);
        expect_chain("null.pfx", "empty.txt", "leaf", NULL);
    }
}

/* RFC 9579, of which only newer releases of OpenSSL and GnuTLS know. No password must not become a
 * NULL there. */
static void the_newest_mac_needs_its_password(void **state)
{
    (void)state;
    if (system("openssl pkcs12 -export -in leaf.crt -inkey leaf.key -passout pass:secret "
               "-pbmac1_pbkdf2 -macalg sha256 -out pbmac1.pfx 2>log") != 0) {
        skip();
    }
    struct problems *problems = problems_new();
    assert_null(load("pbmac1.pfx", NULL, problems));
    fixture_expect(problems,
                   PLACE "pbmac1.pfx: the file is encrypted; name the file of its password");
    problems_free(problems);
    expect_chain("pbmac1.pfx", "lf.txt", "leaf", NULL);
}

/* RC2-40, 3DES and SHA-1, as the oldest systems write them. */
static void the_oldest_form_loads(void **state)
{
    (void)state;
    /* NOLINTNEXTLINE(cert-env33-c): the test's own text */
    if (system("openssl list -providers -provider legacy >log 2>&1") != 0) {
        skip();
    }
    fixture_run("export='openssl pkcs12 -export -legacy -in leaf.crt -inkey leaf.key -passout';"
                "$export pass:secret -certfile above.crt -out oldest.pfx && "
                "$export pass: -out oldest-empty.pfx && "
                "$export pass:p\303\244ss\342\202\254\360\237\230\200 -out oldest-utf8.pfx && "
                "chmod 600 oldest*.pfx");
    expect_chain("oldest.pfx", "crlf.txt", "leaf Inner Outer", NULL);
    expect_chain("oldest-empty.pfx", NULL, "leaf", NULL);
    expect_chain("oldest-utf8.pfx", "utf8.txt", "leaf", NULL);
}

static void what_others_would_mind_is_a_warning(void **state)
{
    (void)state;
    expect_chain("expired.pfx", "lf.txt", "expired",
                 "warning: " PLACE "expired.pfx: certificate 1 (CN=expired) expired 7 days ago");
    expect_chain("future.pfx", "lf.txt", "future", "CN=future) is not valid for another");
    expect_chain("server.pfx", "lf.txt", "server",
                 "warning: " PLACE "server.pfx: the certificate is not for TLS clients");
    expect_chain("weak.pfx", "lf.txt", "weak", "a key of 1024 bits is weak");
    expect_chain("readable.pfx", "lf.txt", "leaf",
                 "warning: " PLACE "readable.pfx: anyone on this host may read it (mode 0644)");
    expect_chain("plain-leaf.pfx", "readable.txt", "leaf",
                 "warning: agent.conf:3: readable.txt: anyone on this host may read it");
}

static void what_is_not_in_the_chain_is_left_out_and_named(void **state)
{
    (void)state;
    expect_chain("others.pfx", "lf.txt", "leaf Inner Outer",
                 "warning: " PLACE "others.pfx: the certificate CN=stranger is not in the chain of "
                 "CN=leaf and is not sent; leave it out\n");
    /* Of several certificates of one key: the last that an authority issued. */
    expect_chain("renewed.pfx", "lf.txt", "renewed Inner",
                 "renewed.pfx: the certificate CN=leaf is not in the chain of CN=renewed");
    struct problems *problems = problems_new();
    identity_unref(load("others.pfx", "lf.txt", problems));
    assert_null(strstr(fixture_text(problems), "Root"));
    problems_free(problems);
}

static void bad_files_are_errors_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *path, *password_file, *error;
    } cases[] = {
        {"missing.pfx", "lf.txt", PLACE "missing.pfx: cannot read the PKCS#12 file: not found"},
        {"directory", "lf.txt", PLACE "directory: cannot read the PKCS#12 file: a directory"},
        {"huge.pfx", "lf.txt", PLACE "huge.pfx: cannot read the PKCS#12 file: too large"},
        {"nothing.pfx", "lf.txt", PLACE "nothing.pfx: the file is empty; put"},
        {"garbage.pfx", "lf.txt", PLACE "garbage.pfx: is not PKCS#12; give"},
        {"pem.pfx", "lf.txt", PLACE "pem.pfx: is PEM, not PKCS#12; name it in cert and key"},
        {"der.pfx", "lf.txt", PLACE "der.pfx: is a certificate without a key, not PKCS#12; give"},
        {"key.pfx", "lf.txt", PLACE "key.pfx: is not PKCS#12, or is damaged ("},
        {"cut.pfx", "lf.txt", PLACE "cut.pfx: is cut short, or is not PKCS#12; copy it again"},
        {"no-mac.pfx", "lf.txt", PLACE "no-mac.pfx: has no MAC, which protects it from changes; "},
        {"no-key.pfx", "lf.txt", PLACE "no-key.pfx: holds no private key; export"},
        {"no-cert.pfx", "lf.txt", PLACE "no-cert.pfx: holds a private key and no certificate; "},
        {"two-keys.pfx", "lf.txt", PLACE "two-keys.pfx: holds several private keys; export"},
        {"another-key.pfx", "lf.txt",
         PLACE "another-key.pfx: its key does not belong to its certificate (CN="},
        {"crowd.pfx", "lf.txt", PLACE "crowd.pfx: holds too many certificates; export"},
        {"dsa.pfx", "lf.txt", PLACE "dsa.pfx: TLS does not use keys of the kind DSA"},
        {"agreement.pfx", "lf.txt", PLACE "agreement.pfx: the certificate's key usage"},
        {"plain-leaf.pfx", NULL,
         PLACE "plain-leaf.pfx: the file is encrypted; name the file of its password in "
               "password_file"},
        {"plain-leaf.pfx", "wrong.txt",
         "agent.conf:3: plain-leaf.pfx: cannot be opened with the password in wrong.txt; check "
         "that password\n"},
        {"plain-leaf.pfx", "two.txt", "in two.txt; check that password"},
        {"plain-leaf.pfx", "empty.txt", "in empty.txt; check that password"},
        {"empty.pfx", "wrong.txt", "in wrong.txt; check that password"},
        {"plain-leaf.pfx", "nul.txt", "agent.conf:3: nul.txt: the password contains a NUL byte"},
        {"plain-leaf.pfx", "missing.txt", "agent.conf:3: missing.txt: cannot read the password"},
        {"plain-leaf.pfx", "latin.txt", "in latin.txt; save that password in UTF-8"},
        {"plain-leaf.pfx", "mark.txt", "in mark.txt; save that password without a byte order mark"},
        {"apart.pfx", "apart.txt", "or export the file again with one of plain letters"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problems *problems = problems_new();
        assert_null(load(cases[i].path, cases[i].password_file, problems));
        assert_int_equal(problems_errors(problems), 1);
        fixture_expect(problems, cases[i].error);
        assert_null(strstr(fixture_text(problems), "secret"));
        problems_free(problems);
    }
}

static void all_that_is_wrong_is_told_at_once(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    assert_null(load("missing.pfx", "missing.txt", problems));
    assert_int_equal(problems_errors(problems), 2);
    problems_free(problems);
}

/* The bytes of a file; the caller frees them. */
static char *slurp(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *ret_len = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*ret_len);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *ret_len, file), *ret_len);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

/* Replaces a number of rounds by nearly 2^31, which takes minutes, and signs the file again. */
static void raise_rounds(const char *path)
{
    static const char written[] = "\x02\x04\x00\x80\x00\x00", wanted[] = "\x02\x04\x7f\xff\xff\xf0";
    size_t len;
    char *bytes = slurp(path, &len);
    char *at = memmem(bytes, len, written, 6);
    assert_non_null(at);
    memcpy(at, wanted, 6);
    gnutls_datum_t der = {(unsigned char *)bytes, (unsigned)len};
    gnutls_pkcs12_t file;
    fixture_ok(gnutls_pkcs12_init(&file));
    fixture_ok(gnutls_pkcs12_import(file, &der, GNUTLS_X509_FMT_DER, 0));
    unsigned rounds;
    fixture_ok(gnutls_pkcs12_mac_info(file, NULL, NULL, NULL, &rounds, NULL));
    if (rounds < 8388608) {
        fixture_ok(gnutls_pkcs12_generate_mac(file, "secret"));
    }
    free(bytes);
    fixture_ok(gnutls_pkcs12_export2(file, GNUTLS_X509_FMT_DER, &der));
    fixture_write(path, "w", der.data, der.size);
    gnutls_free(der.data);
    gnutls_pkcs12_deinit(file);
}

static void rounds_are_counted_before_they_are_computed(void **state)
{
    (void)state;
    static const char *const parts[] = {"-keypbe NONE -certpbe NONE", "-keypbe NONE -nomaciter",
                                        "-certpbe NONE -nomaciter"};
    char command[256];
    for (size_t i = 0; i < 3; i++) {
        snprintf(command, sizeof(command),
                 "openssl pkcs12 -export -in leaf.crt -inkey leaf.key -passout pass:secret "
                 "-iter 8388608 %s -out rounds.pfx && chmod 600 rounds.pfx",
                 parts[i]);
        fixture_run(command);
        raise_rounds("rounds.pfx");
        struct problems *problems = problems_new();
        assert_null(load("rounds.pfx", "lf.txt", problems));
        fixture_expect(problems,
                       PLACE "rounds.pfx: asks for more than 10000000 rounds of hashing, which");
        problems_free(problems);
    }
}

/* As of a file that is newer than GnuTLS. */
static void an_unknown_mac_is_told(void **state)
{
    (void)state;
    static const char sha256[] = "\x60\x86\x48\x01\x65\x03\x04\x02\x01";
    size_t len;
    char *bytes = slurp("clear.pfx", &len);
    char *at = memmem(bytes, len, sha256, strlen(sha256));
    assert_non_null(at);
    at[strlen(sha256) - 1] = 0x7f;
    fixture_write("newer.pfx", "w", bytes, len);
    free(bytes);
    assert_int_equal(chmod("newer.pfx", 0600), 0);
    struct problems *problems = problems_new();
    assert_null(load("newer.pfx", "lf.txt", problems));
    fixture_expect(problems, PLACE "newer.pfx: its MAC is of an unknown kind (");
    problems_free(problems);
}

/* Loads bytes as a file and expects an identity, or a sentence. */
static void load_damaged(const char *bytes, size_t len, const char *password_file)
{
    struct problems *problems = problems_new();
    fixture_write("damaged.pfx", "w", bytes, len);
    struct identity *identity = load("damaged.pfx", password_file, problems);
    assert_int_equal(identity == NULL, problems_errors(problems) > 0);
    identity_unref(identity);
    problems_free(problems);
}

static void a_damaged_file_does_no_harm(void **state)
{
    (void)state;
    static const struct {
        const char *path, *password_file;
    } cases[] = {{"open.pfx", NULL}, {"clear.pfx", "lf.txt"}, {"above.pfx", "lf.txt"}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        size_t len;
        char *bytes = slurp(cases[c].path, &len);
        for (size_t i = 0; i < len; i += 11) {
            char kept = bytes[i];
            bytes[i] = (char)(kept ^ (1 << i % 8));
            load_damaged(bytes, len, cases[c].password_file);
            bytes[i] = kept;
            load_damaged(bytes, i, cases[c].password_file);
        }
        free(bytes);
    }
}

int main(int argc, char *argv[])
{
    if (argc == 2 && strcmp(argv[1], "make-files") == 0) {
        make_files();
        return EXIT_SUCCESS;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_loads),
        cmocka_unit_test(the_oldest_form_loads),
        cmocka_unit_test(what_others_would_mind_is_a_warning),
        cmocka_unit_test(what_is_not_in_the_chain_is_left_out_and_named),
        cmocka_unit_test(bad_files_are_errors_with_their_place),
        cmocka_unit_test(all_that_is_wrong_is_told_at_once),
        cmocka_unit_test(rounds_are_counted_before_they_are_computed),
        cmocka_unit_test(an_unknown_mac_is_told),
        cmocka_unit_test(the_newest_mac_needs_its_password),
        cmocka_unit_test(a_damaged_file_does_no_harm),
    };
    return cmocka_run_group_tests(tests, have_files_made, fixture_leave);
}
