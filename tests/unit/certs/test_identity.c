#include "certs/handles.h"
#include "certs/identity.h"

#include "fixture.h"

static const struct place cert_place = {"agent.conf", 2};
static const struct place key_place = {"agent.conf", 3};
static const struct place password_place = {"agent.conf", 4};

static struct identity *load(const char *cert, const char *key, const char *password_file,
                             struct problems *problems)
{
    const struct identity_source source = {
        .cert = cert,
        .key = key,
        .password_file = password_file,
        .cert_place = cert_place,
        .key_place = key_place,
        .password_place = password_place,
    };
    return identity_load(&source, problems);
}

static void make_pair(const char *name, struct fixture_spec spec)
{
    char path[64];
    spec.cn = name;
    struct fixture_cert made = fixture_make(spec);
    snprintf(path, sizeof(path), "%s.crt", name);
    fixture_add(path, &made);
    snprintf(path, sizeof(path), "%s.key", name);
    fixture_write_key(path, &made);
    fixture_release(&made);
}

static void make_chain(void)
{
    struct fixture_cert root = fixture_make((struct fixture_spec){.cn = "Root", .is_ca = true});
    struct fixture_cert inter =
        fixture_make((struct fixture_spec){.cn = "Inter", .is_ca = true, .issuer = &root});
    struct fixture_cert other =
        fixture_make((struct fixture_spec){.cn = "Inter", .is_ca = true, .issuer = &root});
    struct fixture_cert leaf = fixture_make((struct fixture_spec){.cn = "leaf", .issuer = &inter});
    fixture_add("root.crt", &root);
    fixture_add("inter.crt", &inter);
    fixture_add("namesake.crt", &other);
    fixture_add("leaf.crt", &leaf);
    fixture_write_key("leaf.key", &leaf);
    fixture_run("cat leaf.crt inter.crt >chain.crt; cat chain.crt root.crt >with-root.crt;"
                "cat inter.crt leaf.crt >reversed.crt; cat leaf.crt root.crt inter.crt >mixed.crt;"
                "cat leaf.crt namesake.crt >namesake-chain.crt; cat leaf.crt leaf.crt >twice.crt;"
                "cat chain.crt leaf.key >combined.pem; chmod 600 combined.pem");
    fixture_release(&root);
    fixture_release(&inter);
    fixture_release(&other);
    fixture_release(&leaf);
}

static void make_keys(void)
{
    fixture_run(
        "openssl ec -in leaf.key -out sec1.key 2>&1 | cat >log;"
        "openssl ec -in leaf.key -aes256 -passout pass:secret -out legacy.key 2>&1 | cat >log;"
        "openssl ecparam -name prime256v1 | cat - sec1.key >with-parameters.key;"
        "cat leaf.key leaf.key >two.key; openssl pkey -in leaf.key -outform DER -out der.key;"
        "sed 's/^M/!/' leaf.key >damaged.key; head -n 2 leaf.key >cut.key;"
        "openssl pkcs8 -topk8 -in leaf.key -v2 aes-256-cbc -iter 2048 -passout pass:secret"
        " -out encrypted.key;"
        "openssl pkcs8 -topk8 -in leaf.key -scrypt -passout pass:secret -out scrypt.key;"
        "chmod 600 *.key");
    fixture_run("openssl rsa -in rsa.key -traditional -out pkcs1.key 2>log; chmod 600 pkcs1.key");
    fixture_run(
        "openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_bits:1024 -out dsa.par"
        " 2>log && openssl req -x509 -newkey dsa:dsa.par -nodes -subj /CN=dsa -keyout dsa.key"
        " -out dsa.crt 2>log; chmod 600 dsa.key");
    fixture_run("cp leaf.key readable.key; chmod 644 readable.key;"
                "cp leaf.key group.key; chmod 640 group.key;"
                "cp leaf.key writable.key; chmod 620 writable.key");
    fixture_run(
        "echo secret >secret.txt; printf 'secret\\r\\n' >crlf.txt; printf secret >bare.txt;"
        "echo wrong >wrong.txt; printf 'secret\\n\\n' >two-lines.txt; printf 's\\0t' >nul.txt;"
        ": >empty.txt; chmod 600 *.txt; cp secret.txt readable.txt; chmod 644 readable.txt");
    fixture_run(
        ": >empty.pem; mkdir directory; mkfifo fifo; echo hello >garbage.pem;"
        "openssl x509 -in leaf.crt -outform DER -out leaf.der;"
        "openssl pkcs12 -export -in leaf.crt -inkey leaf.key -passout pass:x -out leaf.pfx");
}

static int make_files(void **state)
{
    if (fixture_enter(state) < 0) {
        return -1;
    }
    make_chain();
    make_pair("rsa", (struct fixture_spec){.algorithm = GNUTLS_PK_RSA, .bits = 2048});
    make_pair("weak", (struct fixture_spec){.algorithm = GNUTLS_PK_RSA, .bits = 1024});
    make_pair("ed25519", (struct fixture_spec){.algorithm = GNUTLS_PK_EDDSA_ED25519, .bits = 256});
    make_pair("p384",
              (struct fixture_spec){.bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1)});
    make_pair("expired", (struct fixture_spec){.from_days = -30, .to_days = -8});
    make_pair("future", (struct fixture_spec){.from_days = 8, .to_days = 30});
    make_pair("soon", (struct fixture_spec){.from_days = -8, .to_days = 5});
    make_pair("server", (struct fixture_spec){.purpose = GNUTLS_KP_TLS_WWW_SERVER});
    make_pair("any", (struct fixture_spec){.purpose = GNUTLS_KP_ANY});
    make_pair("agreement", (struct fixture_spec){.usage = GNUTLS_KEY_KEY_AGREEMENT});
    make_pair("v1", (struct fixture_spec){.version = 1});
    make_keys();
    return 0;
}

static void good_files_load(void **state)
{
    (void)state;
    const struct {
        const char *cert, *key, *password_file;
        unsigned n;
        const char *warning;
    } cases[] = {
        {"leaf.crt", "leaf.key", NULL, 1, NULL},
        {"chain.crt", "leaf.key", NULL, 2, NULL},
        {"with-root.crt", "leaf.key", NULL, 2, NULL},
        {"combined.pem", "combined.pem", NULL, 2, NULL},
        {"chain.crt", "sec1.key", NULL, 2, NULL},
        {"chain.crt", "with-parameters.key", NULL, 2, NULL},
        {"chain.crt", "group.key", NULL, 2, NULL},
        {"chain.crt", "encrypted.key", "secret.txt", 2, NULL},
        {"chain.crt", "encrypted.key", "bare.txt", 2, NULL},
        {"chain.crt", "encrypted.key", "crlf.txt", 2, NULL},
        {"chain.crt", "legacy.key", "secret.txt", 2, NULL},
        {"rsa.crt", "rsa.key", NULL, 1, NULL},
        {"rsa.crt", "pkcs1.key", NULL, 1, NULL},
        {"ed25519.crt", "ed25519.key", NULL, 1, NULL},
        {"p384.crt", "p384.key", NULL, 1, NULL},
        {"v1.crt", "v1.key", NULL, 1, NULL},
        {"leaf.crt", "readable.key", NULL, 1,
         "warning: agent.conf:3: readable.key: anyone on this host may read it (mode 0644)"},
        {"leaf.crt", "writable.key", NULL, 1, "others than its owner may change it (mode 0620)"},
        {"leaf.crt", "encrypted.key", "readable.txt", 1,
         "warning: agent.conf:4: readable.txt: anyone on this host may read it"},
        {"leaf.crt", "leaf.key", "secret.txt", 1, "the key is not encrypted"},
        {"expired.crt", "expired.key", NULL, 1,
         "warning: agent.conf:2: expired.crt: certificate 1 (CN=expired) expired 7 days ago"},
        {"future.crt", "future.key", NULL, 1, "is not valid for another 8 days"},
        {"soon.crt", "soon.key", NULL, 1, "expires in 5 days"},
        {"server.crt", "server.key", NULL, 1, "is not for TLS clients"},
        {"any.crt", "any.key", NULL, 1, "is not for TLS clients"}, /* to OpenSSL, that is */
        {"weak.crt", "weak.key", NULL, 1, "a key of 1024 bits is weak"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problems *problems = problems_new();
        struct identity *identity =
            load(cases[i].cert, cases[i].key, cases[i].password_file, problems);
        fixture_expect(problems, cases[i].warning);
        assert_non_null(identity);
        assert_int_equal(handles_of_identity(identity)->n_chain, cases[i].n);
        identity_unref(identity);
        problems_free(problems);
    }
}

static void bad_files_are_errors_with_their_place(void **state)
{
    (void)state;
    const struct {
        const char *cert, *key, *password_file;
        const char *error;
    } cases[] = {
        {"reversed.crt", "leaf.key", NULL,
         "agent.conf:2: reversed.crt: certificate 2 (CN=leaf) does not follow, for it did not "
         "issue "
         "certificate 1 (CN=Inter)"},
        {"reversed.crt", "leaf.key", NULL,
         "agent.conf:3: leaf.key: the key belongs to certificate 2 of reversed.crt"},
        {"mixed.crt", "leaf.key", NULL, "certificate 2 (CN=Root) does not follow"},
        {"namesake-chain.crt", "leaf.key", NULL, "certificate 2 (CN=Inter) does not follow"},
        {"twice.crt", "leaf.key", NULL, "certificate 2 (CN=leaf) does not follow"},
        {"chain.crt", "rsa.key", NULL,
         "agent.conf:3: rsa.key: the key does not belong to the certificate in chain.crt "
         "(CN=leaf)"},
        {"agreement.crt", "agreement.key", NULL,
         "agent.conf:2: agreement.crt: the certificate's key usage"},
        {"leaf.key", "leaf.key", NULL,
         "agent.conf:2: leaf.key: holds a private key and no certificate"},
        {"leaf.crt", "leaf.crt", NULL,
         "agent.conf:3: leaf.crt: holds a certificate and no private key"},
        {"leaf.crt", "two.key", NULL, "holds several private keys"},
        {"leaf.crt", "damaged.key", NULL, "agent.conf:3: damaged.key: the key is damaged"},
        {"leaf.crt", "cut.key", NULL,
         "agent.conf:3: cut.key: BEGIN and END do not pair up at line 1"},
        {"dsa.crt", "dsa.key", NULL, "TLS does not use keys of the kind DSA"},
        {"leaf.crt", "encrypted.key", NULL,
         "agent.conf:3: encrypted.key: the key is encrypted; name"},
        {"leaf.crt", "legacy.key", NULL, "agent.conf:3: legacy.key: the key is encrypted; name"},
        {"leaf.crt", "encrypted.key", "wrong.txt",
         "agent.conf:4: encrypted.key: the key cannot be decr"},
        {"leaf.crt", "legacy.key", "wrong.txt",
         "agent.conf:4: legacy.key: the key cannot be decrypted"},
        {"leaf.crt", "encrypted.key", "two-lines.txt", "the key cannot be decrypted"},
        {"leaf.crt", "encrypted.key", "empty.txt", "the key cannot be decrypted"},
        {"leaf.crt", "legacy.key", "empty.txt", "the key cannot be decrypted"},
        {"leaf.crt", "scrypt.key", "secret.txt", "the key cannot be decrypted"},
        {"leaf.crt", "leaf.key", "missing.txt",
         "agent.conf:4: missing.txt: cannot read the password"},
        {"leaf.crt", "leaf.key", "nul.txt", "the password contains a NUL byte"},
        {"missing.crt", "leaf.key", NULL,
         "agent.conf:2: missing.crt: cannot read the certificate chain"},
        {"leaf.crt", "missing.key", NULL,
         "agent.conf:3: missing.key: cannot read the private key: not"},
        {"empty.pem", "leaf.key", NULL, "empty.pem: the file is empty"},
        {"leaf.crt", "empty.pem", NULL, "agent.conf:3: empty.pem: the file is empty"},
        {"garbage.pem", "leaf.key", NULL, "garbage.pem: is not PEM"},
        {"leaf.der", "leaf.key", NULL, "leaf.der: is not PEM but probably DER"},
        {"leaf.crt", "der.key", NULL, "agent.conf:3: der.key: is not PEM but probably DER"},
        {"leaf.pfx", "leaf.key", NULL, "leaf.pfx: is not PEM but probably DER or PKCS#12"},
        {"directory", "leaf.key", NULL, "a directory"},
        {"fifo", "fifo", NULL,
         "agent.conf:3: fifo: cannot read the private key: not a regular file"},
        {"leaf.crt", "/dev/zero", NULL, "not a regular file"},
        {"leaf.crt", "pkcs11:token=a", NULL, "not available in this version"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problems *problems = problems_new();
        assert_null(load(cases[i].cert, cases[i].key, cases[i].password_file, problems));
        assert_true(problems_errors(problems) > 0);
        fixture_expect(problems, cases[i].error);
        problems_free(problems);
    }
}

/* The padding of a wrongly decrypted key looks right once in 256 times. */
static void no_wrong_password_opens_a_key(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        char password[32];
        snprintf(password, sizeof(password), "wrong-%d\n", i);
        fixture_write_text("guess.txt", password);
        struct problems *problems = problems_new();
        assert_null(load("leaf.crt", "legacy.key", "guess.txt", problems));
        fixture_expect(problems, "check that password");
        problems_free(problems);
    }
}

static void all_that_is_wrong_is_told_at_once(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    assert_null(load("missing.crt", "missing.key", "missing.txt", problems));
    assert_int_equal(problems_errors(problems), 3);
    problems_free(problems);
}

static void the_chain_is_ready_for_use(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    struct identity *identity = load("with-root.crt", "leaf.key", NULL, problems);
    assert_non_null(identity);
    size_t n;
    const struct inspect_facts *facts = identity_facts(identity, &n);
    assert_int_equal(n, 2);
    assert_string_equal(facts[0].subject, "CN=leaf");
    assert_string_equal(facts[1].subject, "CN=Inter");

    const struct handles_identity *handles = handles_of_identity(identity);
    gnutls_datum_t text;
    fixture_ok(gnutls_x509_rdn_get2(&handles->issuers[1], &text, 0));
    assert_string_equal((const char *)text.data, "CN=Root");
    gnutls_free(text.data);

    assert_ptr_equal(identity_ref(identity), identity);
    assert_null(identity_unref(identity));
    assert_null(identity_unref(identity));
    assert_null(identity_unref(NULL));
    problems_free(problems);
}

/* What the retrieve callback answers to a backend that names `issuer`, or none. */
static struct handles_session retrieve(const struct identity *identity, gnutls_datum_t *issuer,
                                       unsigned *ret_n)
{
    struct handles_session context = {.identity = identity};
    const struct gnutls_cert_retr_st request = {.req_ca_rdn = issuer, .nreqs = issuer != NULL};
    gnutls_session_t session;
    gnutls_pcert_st *chain;
    gnutls_ocsp_data_st *staples;
    gnutls_privkey_t key;
    unsigned n_staples, flags;
    fixture_ok(gnutls_init(&session, GNUTLS_CLIENT));
    gnutls_session_set_ptr(session, &context);
    assert_int_equal(handles_retrieve(session, &request, &chain, ret_n, &staples, &n_staples, &key,
                                      &flags),
                     0);
    assert_int_equal(flags, 0);
    assert_int_equal(n_staples, 0);
    assert_int_equal(key != NULL, identity != NULL);
    gnutls_deinit(session);
    free(context.accepted);
    context.accepted = NULL;
    return context;
}

static void the_chain_is_presented_whatever_the_backend_accepts(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    struct identity *identity = load("chain.crt", "leaf.key", NULL, problems);
    assert_non_null(identity);
    gnutls_datum_t *issuers = handles_of_identity(identity)->issuers;
    gnutls_datum_t stranger = {(unsigned char *)"0", 1};
    unsigned n;

    struct handles_session seen = retrieve(identity, &issuers[1], &n);
    assert_true(seen.asked && seen.issuer_matched && n == 2);
    seen = retrieve(identity, &stranger, &n);
    assert_true(seen.asked && !seen.issuer_matched && n == 2);
    seen = retrieve(identity, NULL, &n);
    assert_true(seen.asked && seen.issuer_matched && n == 2);
    seen = retrieve(NULL, &issuers[0], &n);
    assert_true(seen.asked && !seen.issuer_matched && n == 0);
    identity_unref(identity);
    problems_free(problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_load),
        cmocka_unit_test(bad_files_are_errors_with_their_place),
        cmocka_unit_test(no_wrong_password_opens_a_key),
        cmocka_unit_test(all_that_is_wrong_is_told_at_once),
        cmocka_unit_test(the_chain_is_ready_for_use),
        cmocka_unit_test(the_chain_is_presented_whatever_the_backend_accepts),
    };
    return cmocka_run_group_tests(tests, make_files, fixture_leave);
}
