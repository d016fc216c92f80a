#include "tests/unit/tls/pair.h"

static const char *const versions[] = {
    "NORMAL:-VERS-ALL:+VERS-TLS1.3",
    "NORMAL:-VERS-ALL:+VERS-TLS1.2",
};

static const struct trust_crl one[] = {{.path = "a.crl"}};
static const struct trust_crl two[] = {{.path = "a.crl"}, {.path = "b.crl"}};
static const struct trust_crl from_url[] = {{.path = "a.crl", .url = "http://crl.test/ca.crl"}};

static void add(const char *path, struct fixture_crl spec)
{
    fixture_add_crl(path, spec);
}

/* ---- what the files may be ---- */

static void clear(void)
{
    (void)unlink("a.crl");
    (void)unlink("b.crl");
}

static void good(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca, .revoked = &pair->client_cert});
}

static void good_der(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca, .is_der = true});
}

static void revoked(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca, .revoked = &pair->server_cert});
}

static void stale(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca, .from_s = -9000, .to_s = -7300});
}

static void revoked_and_stale(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca,
                                      .revoked = &pair->server_cert,
                                      .from_s = -9000,
                                      .to_s = -7300});
}

static void early(struct pair *pair)
{
    clear();
    add("a.crl",
        (struct fixture_crl){.issuer = &pair->ca, .from_s = 7300, .to_s = 3 * (time_t)FIXTURE_DAY});
}

static void far_ahead(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca,
                                      .from_s = 400 * (time_t)FIXTURE_DAY,
                                      .to_s = 500 * (time_t)FIXTURE_DAY});
}

/* The newest counts, wherever it stands. */
static void old_and_new(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca});
    add("b.crl", (struct fixture_crl){.issuer = &pair->ca, .from_s = -9000, .to_s = -7300});
}

static void old_without_new_with(struct pair *pair)
{
    clear();
    add("b.crl", (struct fixture_crl){.issuer = &pair->ca, .revoked = &pair->server_cert});
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca,
                                      .from_s = -2 * (time_t)FIXTURE_DAY,
                                      .to_s = FIXTURE_DAY});
}

static void of_another(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->middle});
}

static void of_both(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->middle});
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca});
}

static void middle_revoked(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca, .revoked = &pair->middle});
    add("b.crl", (struct fixture_crl){.issuer = &pair->middle});
}

static void middle_forged(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca});
    add("b.crl", (struct fixture_crl){.issuer = &pair->middle, .signer = &pair->ca});
}

static void leaf_revoked_below_middle(struct pair *pair)
{
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca});
    add("b.crl", (struct fixture_crl){.issuer = &pair->middle, .revoked = &pair->server_cert});
}

static void nothing_yet(struct pair *pair)
{
    (void)pair;
    clear();
}

static void garbage(struct pair *pair)
{
    (void)pair;
    clear();
    fixture_write_text("a.crl", "<html>");
}

/* Who is trusted needs no CRL, and is trusted whatever one says. */
static void leaf_is_anchor(struct pair *pair)
{
    (void)unlink("ca.crt");
    fixture_add("ca.crt", &pair->server_cert);
    revoked(pair);
}

static void middle_is_anchor(struct pair *pair)
{
    (void)unlink("ca.crt");
    fixture_add("ca.crt", &pair->middle);
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->middle});
}

static void middle_and_ca_are_anchors(struct pair *pair)
{
    fixture_add("ca.crt", &pair->middle);
    clear();
    add("a.crl", (struct fixture_crl){.issuer = &pair->ca, .revoked = &pair->middle});
    add("b.crl", (struct fixture_crl){.issuer = &pair->middle});
}

struct expected {
    const char *name;
    void (*add_files)(struct pair *pair);
    const struct trust_crl *crls;
    size_t n_crls;
    bool has_middle;
    const char *warning;
    enum reason reason;
    const char *detail;
};

#define ONE one, 1
#define TWO two, 2
#define URL from_url, 1

static const struct expected cases[] = {
    {"good", good, ONE, false, NULL, REASON_ok, NULL},
    {"DER", good_der, ONE, false, NULL, REASON_ok, NULL},
    {"revoked", revoked, ONE, false, NULL, REASON_cert_revoked, ") was revoked by CN=CA on "},
    {"stale", stale, ONE, false, "is stale, the next one was due 2 hours ago", REASON_crl_unusable,
     "the CRL of CN=CA (a.crl) is stale: the next one was due "},
    {"revoked and stale", revoked_and_stale, ONE, false, "stale", REASON_cert_revoked,
     "CN=server (serial "},
    {"early", early, ONE, false, "is dated 2 hours ahead", REASON_crl_unusable,
     "(a.crl) is valid from "},
    {"far ahead", far_ahead, ONE, false, "clock, which seems wrong", REASON_crl_unusable,
     ": is the clock wrong?"},
    {"old and new", old_and_new, TWO, false, "stale", REASON_ok, NULL},
    {"new revokes", old_without_new_with, TWO, false, NULL, REASON_cert_revoked, NULL},
    {"of another", of_another, ONE, false, "no CRL of `crl` is of a CA in ca.crt",
     REASON_crl_unusable,
     "there is no CRL of CN=CA, which issued CN=server: a.crl is of CN=Middle"},
    {"middle", of_both, ONE, true, NULL, REASON_ok, NULL},
    {"middle revoked", middle_revoked, TWO, true, NULL, REASON_cert_revoked, "CN=Middle (serial "},
    {"middle forged", middle_forged, TWO, true, NULL, REASON_crl_unusable,
     "the CRL of CN=Middle (b.crl) is not signed by the key of that issuer of CN=server"},
    {"middle lacking", good, ONE, true, NULL, REASON_crl_unusable,
     "there is no CRL of CN=Middle, which issued CN=server: a.crl is of CN=CA"},
    {"CA lacking", of_another, ONE, true, "no CRL of `crl` is of a CA", REASON_crl_unusable,
     "there is no CRL of CN=CA, which issued CN=Middle"},
    {"below middle", leaf_revoked_below_middle, TWO, true, NULL, REASON_cert_revoked,
     "was revoked by CN=Middle"},
    {"not downloaded", nothing_yet, URL, false, NULL, REASON_crl_unusable,
     "http://crl.test/ca.crl is not downloaded yet"},
    {"download bad", garbage, URL, false, "a.crl: holds no CRL", REASON_crl_unusable,
     "http://crl.test/ca.crl holds no CRL"},
    {"leaf is anchor", leaf_is_anchor, ONE, false, "is no CA", REASON_ok, NULL},
    {"middle is anchor", middle_is_anchor, ONE, true, NULL, REASON_ok, NULL},
    {"both are anchors", middle_and_ca_are_anchors, TWO, true, NULL, REASON_ok, NULL},
};

static void check(const struct expected *expected, const char *priority)
{
    struct pair *pair = pair_new((struct pair_spec){
        .server_priority = priority,
        .add_files = expected->add_files,
        .crls = expected->crls,
        .n_crls = expected->n_crls,
        .has_middle = expected->has_middle,
        .warning = expected->warning,
        .not_asked = true,
    });
    enum tls_status status = pair_handshake(pair, NULL);
    const struct failure *failure = tls_failure(pair->client);
    bool is_refused = expected->reason != REASON_ok;
    if (failure->reason != expected->reason || status != (is_refused ? TLS_FAILED : TLS_DONE) ||
        (expected->detail != NULL && strstr(failure->detail, expected->detail) == NULL)) {
        fail_msg("%s: %d, %s: %s", expected->name, status, reason_word(failure->reason),
                 failure->detail);
    }
    pair_free(pair);
}

static void every_certificate_below_the_anchor_needs_a_good_crl(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&cases[i], versions[0]);
        check(&cases[i], versions[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_certificate_below_the_anchor_needs_a_good_crl),
    };
    return cmocka_run_group_tests(tests, fixture_enter, fixture_leave);
}
