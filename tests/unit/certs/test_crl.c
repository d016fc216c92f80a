#include "certs/crl_der.h"
#include "certs/crl_file.h"
#include "certs/handles.h"

#include "fixture.h"

#define MANY 100000

static struct {
    struct fixture_cert ca, namesake, other, leaf, rsa;
} made;

static int make_certificates(void **state)
{
    if (fixture_enter(state) < 0) {
        return -1;
    }
    made.ca = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    made.namesake = fixture_make((struct fixture_spec){.cn = "CA", .is_ca = true});
    made.other = fixture_make((struct fixture_spec){.cn = "Other", .is_ca = true});
    made.leaf = fixture_make((struct fixture_spec){.cn = "leaf", .issuer = &made.ca});
    made.rsa = fixture_make((
        struct fixture_spec){.cn = "RSA", .is_ca = true, .algorithm = GNUTLS_PK_RSA, .bits = 2048});
    return 0;
}

static int release_certificates(void **state)
{
    fixture_release(&made.ca);
    fixture_release(&made.namesake);
    fixture_release(&made.other);
    fixture_release(&made.leaf);
    fixture_release(&made.rsa);
    return fixture_leave(state);
}

/* A new file that holds one CRL. */
static void write_crl(const char *path, struct fixture_crl spec)
{
    (void)unlink(path);
    fixture_add_crl(path, spec);
}

static bool lists(const struct crl *crl, const struct fixture_cert *cert, time_t *ret_when)
{
    uint8_t serial[64];
    size_t len = sizeof(serial);
    fixture_ok(gnutls_x509_crt_get_serial(cert->crt, serial, &len));
    return crl_lists(crl, serial, len, ret_when);
}

static void read_good(const char *path, struct crl_file *ret_file)
{
    char why[CRL_WHY_MAX];
    if (crl_file_read(path, ret_file, why) < 0) {
        fail_msg("%s: %s", path, why);
    }
}

static void says_who_issued_what_and_when(void **state)
{
    (void)state;
    struct crl_file file;
    time_t now = time(NULL), when;
    for (int is_der = 0; is_der < 2; is_der++) {
        write_crl("a.crl", (struct fixture_crl){.issuer = &made.ca,
                                                .revoked = &made.leaf,
                                                .is_der = is_der != 0});
        read_good("a.crl", &file);
        assert_int_equal(file.n, 1);
        const struct crl *crl = file.crls[0];
        assert_string_equal(crl_issuer(crl), "CN=CA");
        assert_in_range(now - crl_this_update(crl), 3595, 3605);
        assert_in_range(crl_next_update(crl) - now, FIXTURE_DAY - 5, FIXTURE_DAY + 5);
        assert_int_equal(crl_file_next_update(&file), crl_next_update(crl));
        assert_int_equal(crl_length(crl), 1);
        assert_true(lists(crl, &made.leaf, &when));
        assert_in_range(now - when, FIXTURE_DAY - 5, FIXTURE_DAY + 5);
        assert_false(lists(crl, &made.other, &when));
        assert_false(crl_is_stale(crl, now));
        assert_true(crl_is_stale(crl, now + 2 * (time_t)FIXTURE_DAY));
        assert_false(crl_is_early(crl, now));
        assert_true(crl_is_early(crl, now - 2 * (time_t)FIXTURE_DAY));
        crl_file_release(&file);
    }
}

static void several_stand_in_one_file(void **state)
{
    (void)state;
    struct crl_file file;
    write_crl("a.crl", (struct fixture_crl){.issuer = &made.ca});
    fixture_write("a.crl", "a", "\nand then\n", 10);
    fixture_add_crl("a.crl",
                    (struct fixture_crl){.issuer = &made.other, .from_s = -60, .to_s = 60});
    read_good("a.crl", &file);
    assert_int_equal(file.n, 2);
    assert_string_equal(crl_issuer(file.crls[1]), "CN=Other");
    assert_int_equal(crl_file_next_update(&file), crl_next_update(file.crls[1]));
    assert_false(crl_equal(file.crls[0], file.crls[1]));
    crl_file_release(&file);
}

static void only_its_issuer_has_signed_it(void **state)
{
    (void)state;
    struct crl_file file;
    write_crl("a.crl", (struct fixture_crl){.issuer = &made.ca});
    read_good("a.crl", &file);
    for (int i = 0; i < 2; i++) { /* the second time from memory */
        assert_true(handles_crl_names(file.crls[0], made.ca.crt));
        assert_true(handles_crl_names(file.crls[0], made.namesake.crt));
        assert_false(handles_crl_names(file.crls[0], made.other.crt));
        assert_true(handles_crl_verify(file.crls[0], made.ca.crt));
        assert_false(handles_crl_verify(file.crls[0], made.namesake.crt));
        assert_false(handles_crl_verify(file.crls[0], made.rsa.crt));
    }
    crl_file_release(&file);
}

static void keys_of_every_kind_sign(void **state)
{
    (void)state;
    const struct fixture_spec specs[] = {
        {.cn = "384", .is_ca = true, .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1)},
        {.cn = "Ed", .is_ca = true, .algorithm = GNUTLS_PK_EDDSA_ED25519, .bits = 256},
        {.cn = "PSS", .is_ca = true, .algorithm = GNUTLS_PK_RSA_PSS, .bits = 2048},
    };
    struct crl_file file;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        struct fixture_cert ca = fixture_make(specs[i]);
        bool is_ed = specs[i].algorithm == GNUTLS_PK_EDDSA_ED25519;
        write_crl("a.crl",
                  (struct fixture_crl){.issuer = &ca, .digest = is_ed ? GNUTLS_DIG_SHA512 : 0});
        read_good("a.crl", &file);
        assert_true(handles_crl_verify(file.crls[0], ca.crt));
        crl_file_release(&file);
        fixture_release(&ca);
    }
}

/* What OpenSSL makes of an RSA key and the options of RSA-PSS. */
static void openssl_s_pss_is_understood(void **state)
{
    (void)state;
    struct crl_file file;
    (void)unlink("rsa.crt");
    fixture_add("rsa.crt", &made.rsa);
    fixture_write_key("rsa.key", &made.rsa);
    fixture_write_text("ca.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\n"
                                 "default_crl_days=1\ncrlnumber=number\n");
    static const char *const salts[] = {"max", "digest", "20", "0"};
    for (size_t i = 0; i < sizeof(salts) / sizeof(salts[0]); i++) {
        char command[256];
        snprintf(command, sizeof(command),
                 ": >index; echo 01 >number; openssl ca -gencrl -config ca.cnf -cert rsa.crt "
                 "-keyfile rsa.key -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:%s "
                 "-out a.crl 2>log",
                 salts[i]);
        fixture_run(command);
        read_good("a.crl", &file);
        assert_true(handles_crl_verify(file.crls[0], made.rsa.crt));
        crl_file_release(&file);
    }
}

/* ---- what is refused ---- */

static void expect_bad(const char *path, const char *expected)
{
    struct crl_file file;
    char why[CRL_WHY_MAX] = "nothing";
    if (crl_file_read(path, &file, why) == 0) {
        fail_msg("%s was taken", path);
    }
    if (strstr(why, expected) == NULL) {
        fail_msg("%s: expected \"%s\", not \"%s\"", path, expected, why);
    }
}

static void bad_files_are_named(void **state)
{
    (void)state;
    write_crl("pem.crl", (struct fixture_crl){.issuer = &made.ca});
    write_crl("der.crl", (struct fixture_crl){.issuer = &made.ca, .is_der = true});
    write_crl("endless.crl", (struct fixture_crl){.issuer = &made.ca, .has_no_end = true});
    write_crl("weak.crl",
              (struct fixture_crl){.issuer = &made.rsa, .digest = GNUTLS_DIG_SHA1, .is_der = true});
    fixture_add("ca.pem", &made.ca);
    fixture_run(": >empty.crl; echo hello >text.crl; mkdir folder.crl");
    fixture_run("cat pem.crl ca.pem >mixed.crl; head -n 3 pem.crl >cut.crl");
    fixture_run("(cat pem.crl; sed 2s/M/!/ pem.crl) >second.crl");
    fixture_run("(cat der.crl; echo) >longer.crl; head -c 100 der.crl >cut-der.crl");
    fixture_run("truncate -s 33M large.crl");
    expect_bad("none.crl", "cannot be read: not found");
    expect_bad("folder.crl", "cannot be read: a directory");
    expect_bad("large.crl", "cannot be read: too large");
    expect_bad("empty.crl", "is empty");
    expect_bad("text.crl", "holds no CRL");
    expect_bad("mixed.crl", "the CERTIFICATE at line ");
    expect_bad("cut.crl", "do not pair up at line 1");
    expect_bad("second.crl", "at line ");
    expect_bad("longer.crl", "is no CRL, or is damaged or cut short");
    expect_bad("cut-der.crl", "is no CRL, or is damaged or cut short");
    expect_bad("endless.crl", "does not say when the next one comes");
    expect_bad("weak.crl", "is signed by RSA-SHA1, which is not strong enough");
}

/* What OpenSSL makes with these lines as the CRL's extensions. */
static void make_with(const char *extensions)
{
    char text[512];
    (void)unlink("rsa.crt");
    fixture_add("rsa.crt", &made.rsa);
    fixture_write_key("rsa.key", &made.rsa);
    snprintf(text, sizeof(text),
             "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=1\n"
             "crlnumber=number\ncrl_extensions=e\n[e]\n%s\n[p]\nfullname=URI:http://crl.test/1\n"
             "[i]\nindirectCRL=TRUE\n",
             extensions);
    fixture_write_text("ca.cnf", text);
    fixture_run(": >index; echo 01 >number; openssl ca -gencrl -config ca.cnf -cert rsa.crt "
                "-keyfile rsa.key -out made.crl 2>log");
}

static void lists_that_are_not_whole_are_refused(void **state)
{
    (void)state;
    struct crl_file file;
    make_with("issuerAltName=URI:http://ca.test/\n1.2.3.4=DER:0500");
    read_good("made.crl", &file);
    crl_file_release(&file);
    make_with("issuingDistributionPoint=critical,@p");
    expect_bad("made.crl", "covers only a part of what its CA issued");
    make_with("issuingDistributionPoint=critical,@i");
    expect_bad("made.crl", "or other CAs as well (issuingDistributionPoint)");
    make_with("2.5.29.27=critical,DER:020101");
    expect_bad("made.crl", "is a delta CRL");
    make_with("1.2.3.4=critical,DER:0500");
    expect_bad("made.crl", "has a critical extension that is not understood (1.2.3.4)");
}

/* ---- the list, by hand ---- */

#define ALGORITHM       0x30, 0x03, 0x06, 0x01, 0x2a
#define ISSUER          0x30, 0x00
#define DATE            0x17, 0x0d, '2', '6', '1', '1', '2', '1', '1', '2', '0', '0', '0', '0', 'Z'
#define EXTENSIONS(...) 0x30, 0x0d, 0x30, 0x0b, 0x06, 0x03, __VA_ARGS__

/* Puts one entry, of a serial and at most one extension, into a CRL that is otherwise bare. */
static const char *split(const uint8_t *entry, uint8_t len, struct crl_der *ret_parts)
{
    static uint8_t der[256];
    static const uint8_t head[] = {ALGORITHM, ISSUER, DATE, DATE};
    static const uint8_t tail[] = {ALGORITHM, 0x03, 0x02, 0x00, 0x01};
    uint8_t n = 0, tbs_len = (uint8_t)(sizeof(head) + 4 + len);
    const uint8_t start[] = {0x30, (uint8_t)(2 + tbs_len + sizeof(tail)), 0x30, tbs_len};
    const uint8_t list[] = {0x30, (uint8_t)(2 + len), 0x30, len};
    memcpy(der, start, sizeof(start)), n += (uint8_t)sizeof(start);
    memcpy(der + n, head, sizeof(head)), n += (uint8_t)sizeof(head);
    memcpy(der + n, list, sizeof(list)), n += (uint8_t)sizeof(list);
    memcpy(der + n, entry, len), n += len;
    memcpy(der + n, tail, sizeof(tail)), n += (uint8_t)sizeof(tail);
    return crl_der_split(der, n, ret_parts);
}

static void serials_are_compared_as_numbers(void **state)
{
    (void)state;
    static const uint8_t padded[] = {0x02, 0x03, 0x00, 0x00, 0x81, DATE};
    struct crl_der parts;
    assert_null(split(padded, sizeof(padded), &parts));
    assert_int_equal(parts.n, 1);
    static const uint8_t wanted[] = {0x00, 0x81};
    struct crl_entry entry = crl_entry_of(wanted, sizeof(wanted));
    assert_int_equal(crl_entry_compare(&entry, &parts.entries[0]), 0);
    /* The rest is 4 and 2 bytes shorter than the whole. */
    assert_int_equal(parts.signature.size, 1);
    crl_der_release(&parts);
}

static void entries_are_judged_by_their_extensions(void **state)
{
    (void)state;
    static const uint8_t reason[] = {0x02, 0x01, 0x05, DATE,
                                     EXTENSIONS(0x55, 0x1d, 0x15, 0x04, 0x04, 0x0a, 0x02, 0x00,
                                                0x01)};
    static const uint8_t other[] = {0x02, 0x01, 0x05, DATE,
                                    EXTENSIONS(0x2a, 0x03, 0x04, 0x04, 0x04, 0x05, 0x00, 0x05,
                                               0x00)};
    static const uint8_t critical[] = {0x02, 0x01, 0x05, DATE,
                                       EXTENSIONS(0x2a, 0x03, 0x04, 0x01, 0x01, 0xff, 0x04, 0x01,
                                                  0x00)};
    static const uint8_t issuer[] = {0x02, 0x01, 0x05, DATE,
                                     EXTENSIONS(0x55, 0x1d, 0x1d, 0x01, 0x01, 0xff, 0x04, 0x01,
                                                0x00)};
    static const uint8_t no_serial[] = {0x02, 0x00, DATE};
    static const uint8_t no_date[] = {0x02, 0x01, 0x05};
    static const uint8_t too_long[] = {0x02, 0x01, 0x05, DATE, 0x30, 0x05, 0x30, 0x00};
    struct crl_der parts;
    assert_null(split(reason, sizeof(reason), &parts));
    crl_der_release(&parts);
    assert_null(split(other, sizeof(other), &parts));
    crl_der_release(&parts);
    assert_string_equal(split(critical, sizeof(critical), &parts),
                        "has an entry with a critical extension that is not understood");
    assert_non_null(strstr(split(issuer, sizeof(issuer), &parts), "is an indirect CRL"));
    assert_non_null(split(no_serial, sizeof(no_serial), &parts));
    assert_non_null(split(no_date, sizeof(no_date), &parts));
    assert_non_null(split(too_long, sizeof(too_long), &parts));
}

/* Every byte changed, and every length: none may be read out of bounds or be taken as signed. */
static void damage_is_never_taken(void **state)
{
    (void)state;
    char *bytes = NULL, why[CRL_WHY_MAX];
    struct crl_file file;
    write_crl("a.crl",
              (struct fixture_crl){.issuer = &made.ca, .revoked = &made.leaf, .is_der = true});
    FILE *stream = fopen("a.crl", "r");
    assert_non_null(stream);
    bytes = malloc(4096);
    size_t len = fread(bytes, 1, 4096, stream);
    fclose(stream);
    for (size_t i = 0; i < len; i++) {
        uint8_t *copy = malloc(i + 1);
        memcpy(copy, bytes, i);
        assert_true(crl_file_parse((char *)copy, i, &file, why) < 0);
        free(copy);
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] = (char)(bytes[i] ^ (1 << bit));
            if (crl_file_parse(bytes, len, &file, why) == 0) {
                assert_false(handles_crl_verify(file.crls[0], made.ca.crt));
                crl_file_release(&file);
            }
            bytes[i] = (char)(bytes[i] ^ (1 << bit));
        }
    }
    free(bytes);
}

/* GnuTLS's own reader is busy for a minute with this. */
static void a_long_list_is_quick(void **state)
{
    (void)state;
    struct crl_file file;
    make_with("issuerAltName=URI:http://ca.test/");
    fixture_run("seq 10000000 10099999 | awk '{printf \"R\\t400101000000Z\\t261101000000Z\\t%s\\t"
                "unknown\\t/CN=x\\n\", $1}' >index; openssl ca -gencrl -config ca.cnf -cert rsa.crt"
                " -keyfile rsa.key -out made.crl 2>log");
    clock_t start = clock();
    read_good("made.crl", &file);
    assert_int_equal(crl_length(file.crls[0]), MANY);
    assert_true(handles_crl_verify(file.crls[0], made.rsa.crt));
    time_t when;
    for (unsigned i = 0; i < MANY; i += 99) {
        uint8_t serial[4] = {0x10}; /* decimal digits, read as hexadecimal ones */
        for (unsigned k = 3, rest = i; k > 0; k--, rest /= 100) {
            serial[k] = (uint8_t)(rest / 10 % 10 << 4 | rest % 10);
        }
        assert_true(handles_crl_verify(file.crls[0], made.rsa.crt));
        assert_true(crl_lists(file.crls[0], serial, sizeof(serial), &when));
        assert_int_equal(when, 1793491200); /* 2026-11-01 */
    }
    assert_true((clock() - start) / CLOCKS_PER_SEC < 10);
    crl_file_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_who_issued_what_and_when),
        cmocka_unit_test(several_stand_in_one_file),
        cmocka_unit_test(only_its_issuer_has_signed_it),
        cmocka_unit_test(keys_of_every_kind_sign),
        cmocka_unit_test(openssl_s_pss_is_understood),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(lists_that_are_not_whole_are_refused),
        cmocka_unit_test(serials_are_compared_as_numbers),
        cmocka_unit_test(entries_are_judged_by_their_extensions),
        cmocka_unit_test(damage_is_never_taken),
        cmocka_unit_test(a_long_list_is_quick),
    };
    return cmocka_run_group_tests(tests, make_certificates, release_certificates);
}
