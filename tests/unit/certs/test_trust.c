#include "certs/handles.h"
#include "certs/trust.h"

#include "fixture.h"

static const struct place here = {"agent.conf", 7};

static struct trust *load(const char *ca, struct problems *problems)
{
    return trust_load(&(struct trust_source){.ca = ca, .ca_place = here}, problems);
}

static int make_files(void **state)
{
    if (fixture_enter(state) < 0) {
        return -1;
    }
    struct fixture_cert root = fixture_make((struct fixture_spec){.cn = "Root", .is_ca = true});
    struct fixture_cert old = fixture_make(
        (struct fixture_spec){.cn = "Old", .is_ca = true, .from_days = -30, .to_days = -3});
    struct fixture_cert future = fixture_make(
        (struct fixture_spec){.cn = "Future", .is_ca = true, .from_days = 3, .to_days = 30});
    struct fixture_cert leaf = fixture_make((struct fixture_spec){.cn = "leaf", .issuer = &root});
    struct fixture_cert first = fixture_make((struct fixture_spec){.cn = "V1", .version = 1});

    struct fixture_cert clients = fixture_make(
        (struct fixture_spec){.cn = "Clients", .is_ca = true, .purpose = GNUTLS_KP_TLS_WWW_CLIENT});

    fixture_add("clients.crt", &clients);
    fixture_add("root.crt", &root);
    fixture_add("old.crt", &old);
    fixture_add("future.crt", &future);
    fixture_add("leaf.crt", &leaf);
    fixture_add("v1.crt", &first);
    fixture_write_key("root.key", &root);
    fixture_run("cat root.crt v1.crt root.crt >several.crt");
    fixture_run("cat root.crt root.key >with-key.crt");
    fixture_run("(cat root.crt; sed 's/^M/!/' v1.crt; cat old.crt) >broken.crt");
    fixture_run("(cat root.crt; sed 4d v1.crt) >line-missing.crt");
    fixture_run("(cat root.crt; head -n 3 v1.crt) >cut.crt");
    fixture_run("(cat root.crt; sed '1s/^-//' v1.crt) >begin-damaged.crt");
    fixture_run("(sed '$s/END CERT/END XERT/' v1.crt; cat root.crt) >end-damaged.crt");
    fixture_run("(sed '$d' v1.crt; cat root.crt) >end-missing.crt");
    fixture_run("openssl x509 -in root.crt -trustout >trusted.crt");
    fixture_run("sed 's/CERTIFICATE/X509 CERTIFICATE/' root.crt >x509.crt");
    fixture_run("sed 's/CERTIFICATE/X509 CRL/' root.crt | cat root.crt - >with-crl.crt");
    fixture_run("openssl x509 -in root.crt -outform DER -out root.der");
    fixture_run(
        "sed 's/$/\\r/' root.crt >crlf.crt; printf '\\357\\273\\277' | cat - root.crt >bom.crt");
    fixture_run(
        "(openssl x509 -in root.crt -noout -text; cat root.crt; echo the end) >commented.crt");
    fixture_run(": >empty.crt; echo hello >garbage.crt; mkdir directory.crt; mkfifo fifo.crt");
    fixture_release(&root);
    fixture_release(&old);
    fixture_release(&future);
    fixture_release(&leaf);
    fixture_release(&first);
    fixture_release(&clients);
    return 0;
}

static void good_files_load(void **state)
{
    (void)state;
    const struct {
        const char *path;
        size_t n;
        const char *warning;
    } cases[] = {
        {"root.crt", 1, NULL},
        {"several.crt", 3, NULL},
        {"v1.crt", 1, NULL},
        {"x509.crt", 1, NULL},
        {"crlf.crt", 1, NULL},
        {"bom.crt", 1, NULL},
        {"commented.crt", 1, NULL},
        {"old.crt", 1, "warning: agent.conf:7: old.crt: certificate 1 (CN=Old) expired 2 days ago"},
        {"future.crt", 1, "(CN=Future) is not valid for another 3 days"},
        {"leaf.crt", 1, "certificate 1 (CN=leaf) is no CA"},
        {"clients.crt", 1, "(CN=Clients) is a CA, but not of TLS servers"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problems *problems = problems_new();
        struct trust *trust = load(cases[i].path, problems);
        fixture_expect(problems, cases[i].warning);
        assert_non_null(trust);
        size_t n = 0;
        assert_non_null(trust_facts(trust, &n));
        assert_int_equal(n, cases[i].n);
        trust_unref(trust);
        problems_free(problems);
    }
}

static void bad_files_are_errors_with_their_place(void **state)
{
    (void)state;
    const struct {
        const char *path;
        const char *error;
    } cases[] = {
        {"missing.crt", "agent.conf:7: missing.crt: cannot read the CA certificates: not found"},
        {"directory.crt", "a directory, not a file"},
        {"fifo.crt", "not a regular file"},
        {"empty.crt", "the file is empty"},
        {"garbage.crt", "is not PEM; give"},
        {"root.der", "probably DER"},
        {"root.key", "holds a private key at line 1; move it"},
        {"root.key", "holds a private key and no certificate; give the CA certificates here"},
        {"with-key.crt", "holds a private key at line"},
        {"with-crl.crt", "the X509 CRL at line"},
        {"broken.crt", "is damaged"},
        {"line-missing.crt", "is damaged"},
        {"cut.crt", "do not pair up at line"},
        {"begin-damaged.crt", "do not pair up at line"},
        {"end-damaged.crt", "do not pair up at line 1"},
        {"end-missing.crt", "do not pair up at line 1"},
        {"trusted.crt", "OpenSSL's own \"trusted\" form"},
        {"pkcs11:token=a", "not available in this version"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problems *problems = problems_new();
        assert_null(load(cases[i].path, problems));
        assert_true(problems_errors(problems) > 0);
        fixture_expect(problems, cases[i].error);
        problems_free(problems);
    }
}

static void names_the_line_of_a_broken_entry(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    assert_null(load("broken.crt", problems));
    FILE *root = fopen("root.crt", "r");
    unsigned lines = 1;
    for (int c; root != NULL && (c = getc(root)) != EOF;) {
        lines += c == '\n';
    }
    fclose(root);
    char expected[64];
    snprintf(expected, sizeof(expected), "the certificate at line %u is damaged", lines);
    fixture_expect(problems, expected);
    assert_int_equal(problems_errors(problems), 1);
    problems_free(problems);
}

static void the_system_has_cas_or_says_what_to_install(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    struct trust *trust = load("system", problems);
    size_t n = 1;
    if (trust != NULL) {
        fixture_expect(problems, NULL);
        trust_facts(trust, &n);
        assert_int_equal(n, 0);
    } else {
        fixture_expect(problems, "install the package ca-certificates");
    }
    trust_unref(trust);
    problems_free(problems);
}

/* 100 KB of certificates and 10,000 names: the limit is against hangs. */
static void large_files_load_in_bounded_time(void **state)
{
    (void)state;
    time_t start = time(NULL);
    fixture_run("for i in $(seq 200); do cat root.crt; done >large.crt");
    fixture_run(
        "(printf '[req]\\ndistinguished_name=dn\\n[dn]\\n[ext]\\nsubjectAltName=@alt\\n[alt]\\n';"
        " for i in $(seq 10000); do echo \"DNS.$i=h$i.test\"; done) >names.cnf;"
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout log"
        " -subj /CN=names -config names.cnf -extensions ext -out names.crt 2>log;"
        "cat names.crt >>large.crt");
    struct problems *problems = problems_new();
    struct trust *trust = load("large.crt", problems);
    assert_non_null(trust);
    size_t n;
    trust_facts(trust, &n);
    assert_int_equal(n, 201);
    trust_unref(trust);
    problems_free(problems);
    assert_true(time(NULL) - start < 60);
}

static void references_keep_it(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    struct trust *trust = load("root.crt", problems);
    assert_ptr_equal(trust_ref(trust), trust);
    assert_null(trust_unref(trust));
    assert_non_null(handles_of_trust(trust));
    assert_null(trust_unref(trust));
    assert_null(trust_unref(NULL));
    problems_free(problems);
}

static void the_same_cas_are_seen_in_any_order(void **state)
{
    (void)state;
    static const char *const files[] = {"root.crt", "ab.crt", "ba.crt", "v1.crt"};
    static const bool same[4][4] = {
        {true, false, false, false},
        {false, true, true, false},
        {false, true, true, false},
        {false, false, false, true},
    };
    struct problems *problems = problems_new();
    struct trust *trusts[4];
    fixture_run("cat root.crt v1.crt root.crt >ab.crt; cat v1.crt root.crt >ba.crt");
    for (size_t i = 0; i < 4; i++) {
        trusts[i] = load(files[i], problems);
        assert_non_null(trusts[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(trust_has_same_cas(trusts[i], trusts[k]), same[i][k]);
        }
        assert_true(trust_has_same_crls(trusts[0], trusts[i])); /* none */
    }
    for (size_t i = 0; i < 4; i++) {
        trust_unref(trusts[i]);
    }
    problems_free(problems);
}

static void the_system_is_the_same_as_itself(void **state)
{
    (void)state;
    struct problems *problems = problems_new();
    struct trust *root = load("root.crt", problems);
    struct trust *a = load("system", problems), *b = load("system", problems);
    if (a != NULL && b != NULL) {
        assert_true(trust_has_same_cas(a, b));
        assert_false(trust_has_same_cas(a, root));
    }
    trust_unref(a);
    trust_unref(b);
    trust_unref(root);
    problems_free(problems);
}

/* What trust_load() makes of CRLs for the CA of the same name; NULL: it refuses. */
static struct trust *load_crls(const struct trust_crl *crls, size_t n, struct problems *problems)
{
    const struct trust_source source = {.ca = "crl-ca.crt",
                                        .ca_place = here,
                                        .crls = crls,
                                        .n_crls = n};
    return trust_load(&source, problems);
}

static void crls_are_read_with_the_cas(void **state)
{
    (void)state;
    const struct place there = {"agent.conf", 9};
    const struct trust_crl file = {.path = "good.crl", .place = there};
    const struct trust_crl url = {.path = "good.crl", .url = "http://crl.test/", .place = there};
    const struct trust_crl awaited = {.path = "none.crl", .url = "http://crl.test/"};
    const struct trust_crl missing = {.path = "none.crl", .place = there};
    const struct trust_crl forged = {.path = "forged.crl", .place = there};
    const struct trust_crl forged_url = {.path = "forged.crl", .url = "http://crl.test/"};
    struct problems *problems = problems_new();
    struct fixture_cert ca = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    struct fixture_cert namesake = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    fixture_add("crl-ca.crt", &ca);
    fixture_add_crl("good.crl", (struct fixture_crl){.issuer = &ca});
    fixture_add_crl("forged.crl", (struct fixture_crl){.issuer = &ca, .signer = &namesake});

    struct trust *a = load_crls(&file, 1, problems), *b = load_crls(&file, 1, problems);
    struct trust *c = load_crls(&url, 1, problems), *d = load_crls(&awaited, 1, problems);
    fixture_expect(problems, NULL);
    assert_true(trust_has_same_crls(a, b));
    assert_false(trust_has_same_crls(a, c));
    assert_false(trust_has_same_crls(c, d));

    size_t n;
    const struct trust_crl_facts *facts = trust_crls(c, &n);
    assert_int_equal(n, 1);
    assert_string_equal(facts->source, "http://crl.test/");
    assert_string_equal(facts->issuer, "CN=CA");
    assert_in_range(facts->next_update, time(NULL), time(NULL) + FIXTURE_DAY);
    facts = trust_crls(d, &n);
    assert_string_equal(facts->issuer, "");
    assert_int_equal(facts->next_update, 0);

    struct trust *e = load_crls(&forged_url, 1, problems);
    assert_non_null(e); /* it will come anew */
    fixture_expect(problems, "warning: forged.crl: its CRL of CN=CA is not signed by our CA");
    assert_null(load_crls(&forged, 1, problems));
    fixture_expect(problems, "agent.conf:9: forged.crl: its CRL of CN=CA is not signed by our CA");
    assert_null(load_crls(&missing, 1, problems));
    fixture_expect(problems, "agent.conf:9: none.crl: cannot be read: not found");
    trust_unref(a), trust_unref(b), trust_unref(c), trust_unref(d), trust_unref(e);
    fixture_release(&ca);
    fixture_release(&namesake);
    problems_free(problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_load),
        cmocka_unit_test(bad_files_are_errors_with_their_place),
        cmocka_unit_test(names_the_line_of_a_broken_entry),
        cmocka_unit_test(the_system_has_cas_or_says_what_to_install),
        cmocka_unit_test(large_files_load_in_bounded_time),
        cmocka_unit_test(references_keep_it),
        cmocka_unit_test(the_same_cas_are_seen_in_any_order),
        cmocka_unit_test(the_system_is_the_same_as_itself),
        cmocka_unit_test(crls_are_read_with_the_cas),
    };
    return cmocka_run_group_tests(tests, make_files, fixture_leave);
}
