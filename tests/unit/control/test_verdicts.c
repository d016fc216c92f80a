/* What is told of a backend that would be lost, and of files that are bad or new. */
#include "base/log.h"
#include "control/verdicts.h"

#include <fcntl.h>

#include "tests/unit/control/site.h"

#define LOG_MAX 8192

/* ---- what the log says ---- */

static int log_before;

static void record(void)
{
    int fd = open("log", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fflush(stderr);
    log_before = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* All lines since. Valid until the next call. */
static const char *recorded(void)
{
    static char text[LOG_MAX];
    fflush(stderr);
    ssize_t n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);
    dup2(log_before, STDERR_FILENO);
    close(log_before);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void expect_text(const char *text, const char *expected)
{
    if (strstr(text, expected) == NULL) {
        fail_msg("expected \"%s\" in:\n%s", expected, text);
    }
}

/* ---- trials ---- */

/* Two services whose certificate is replaced. */
struct bed {
    struct snapshot *before, *next;
    struct problems *problems;
};

static int set_up(void **state)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    site_configure("[service a]\nlisten = 127.0.0.1:9001\n[service b]\nlisten = 127.0.0.1:9002\n");
    bed->problems = problems_new();
    bed->before = site_load(NULL);
    site_write_identity("client.crt", "client.key");
    bed->next = snapshot_refresh(bed->before);
    *state = bed;
    return bed->next != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;
    snapshot_free(bed->before);
    snapshot_free(bed->next);
    problems_free(bed->problems);
    free(bed);
    return 0;
}

static struct canary_trial trial_of(const struct bed *bed, size_t i, enum canary_verdict verdict)
{
    struct canary_trial trial = {
        .old = bed->before->services[i],
        .new = bed->next->services[i],
        .verdict = verdict,
    };
    addr_parse_ip("192.0.2.1", 443, &trial.addr);
    failure_set_by_peer(&trial.failure, REASON_client_cert_untrusted, "alert 48, unknown_ca");
    return trial;
}

static void all_or_nothing_is_refused_for_each_service_that_would_be_lost(void **state)
{
    struct bed *bed = *state;
    const struct canary_trial trials[] = {trial_of(bed, 0, CANARY_REFUSED),
                                          trial_of(bed, 1, CANARY_REFUSED)};
    verdicts_refuse(bed->before, bed->next, trials, 2, bed->problems);
    assert_int_equal(problems_errors(bed->problems), 2);
    fixture_expect(bed->problems,
                   "conf:8: the service \"a\" would be lost: 192.0.2.1:443 goes with the "
                   "certificate in use, but not with the new: client_cert_untrusted (alert 48, "
                   "unknown_ca); mend that, or set canary = no");
    fixture_expect(bed->problems, "conf:10: the service \"b\" would be lost: ");
}

static void nobody_is_lost_who_passes_or_is_no_worse_off(void **state)
{
    struct bed *bed = *state;
    const struct canary_trial trials[] = {
        trial_of(bed, 0, CANARY_PASSED),
        trial_of(bed, 1, CANARY_NO_WORSE),
        trial_of(bed, 1, CANARY_UNKNOWN),
    };
    const struct service *a = bed->next->services[0], *b = bed->next->services[1];
    verdicts_refuse(bed->before, bed->next, trials, 3, bed->problems);
    verdicts_hold(bed->before, bed->next, trials, 3, bed->problems);
    fixture_expect(bed->problems, NULL);
    assert_ptr_equal(bed->next->services[0], a);
    assert_ptr_equal(bed->next->services[1], b);
    assert_null(bed->next->held[0]);
}

/* The words must not say that the backend has agreed. */
static void what_is_required_and_unknown_is_lost(void **state)
{
    struct bed *bed = *state;
    struct canary_trial trials[] = {trial_of(bed, 0, CANARY_UNKNOWN),
                                    trial_of(bed, 1, CANARY_UNKNOWN)};
    trials[0].is_required = trials[1].is_required = true;
    trials[1].addr.len = 0;
    failure_set(&trials[0].failure, REASON_handshake_timeout, "no answer within 5 s");
    failure_set(&trials[1].failure, REASON_dns_failed, "no address is known");
    verdicts_refuse(bed->before, bed->next, trials, 2, bed->problems);
    fixture_expect(bed->problems,
                   "the service \"a\" would be lost: canary = require, and the new certificate "
                   "could not be tried with 192.0.2.1:443: handshake_timeout (no answer");
    fixture_expect(bed->problems,
                   "the service \"b\" would be lost: canary = require, and the new certificate "
                   "could not be tried with any backend: dns_failed (no address is known)");
}

static void other_cas_are_told_as_such(void **state)
{
    struct bed *bed = *state;
    site_write_ca("ca.crt");
    struct snapshot *next = snapshot_refresh(bed->next);
    assert_non_null(next);
    struct canary_trial trial = trial_of(bed, 0, CANARY_REFUSED);
    trial.old = bed->next->services[0];
    trial.new = next->services[0];
    failure_set(&trial.failure, REASON_cert_untrusted, "issued by \"old\"");
    verdicts_refuse(bed->next, next, &trial, 1, bed->problems);
    fixture_expect(bed->problems, "192.0.2.1:443 goes with the CAs in use, but not with the new: "
                                  "cert_untrusted (issued by \"old\")");
    snapshot_free(next);
    (void)unlink("ca.crt");
    fixture_add("ca.crt", &site_ca);
}

static void a_service_is_held_alone_and_told_once(void **state)
{
    struct bed *bed = *state;
    const struct canary_trial trials[] = {trial_of(bed, 0, CANARY_REFUSED),
                                          trial_of(bed, 1, CANARY_PASSED)};
    struct service *b = bed->next->services[1];
    record();
    verdicts_hold(bed->before, bed->next, trials, 2, bed->problems);
    const char *text = recorded();
    expect_text(text, "new files are not in use");
    expect_text(text, "service=a");
    expect_text(text, "reason=client_cert_untrusted");
    fixture_expect(bed->problems, NULL);
    assert_ptr_equal(bed->next->services[0], bed->before->services[0]);
    assert_ptr_equal(bed->next->services[1], b);
    expect_text(bed->next->held[0], "192.0.2.1:443 goes with the certificate in use");
    assert_null(bed->next->held[1]);

    /* The same again, a minute later: nothing new. */
    struct snapshot *later = snapshot_refresh(bed->next);
    assert_non_null(later);
    struct canary_trial again = trials[0];
    again.old = bed->next->services[0];
    again.new = later->services[0];
    record();
    verdicts_hold(bed->next, later, &again, 1, bed->problems);
    assert_string_equal(recorded(), "");
    assert_ptr_equal(later->services[0], bed->before->services[0]);
    assert_string_equal(later->held[0], bed->next->held[0]);
    snapshot_free(later);
}

/* Or no other service could be changed until that backend is mended. */
static void what_was_held_before_is_in_nobodys_way(void **state)
{
    struct bed *bed = *state;
    struct canary_trial trial = trial_of(bed, 0, CANARY_REFUSED);
    record();
    verdicts_hold(bed->before, bed->next, &trial, 1, bed->problems);
    recorded();
    struct snapshot *later = snapshot_refresh(bed->next);
    assert_non_null(later);
    trial.old = bed->next->services[0];
    trial.new = later->services[0];
    verdicts_refuse(bed->next, later, &trial, 1, bed->problems);
    assert_int_equal(problems_errors(bed->problems), 0);
    fixture_expect(bed->problems, "warning: conf:8: the service \"a\" goes on as it was: ");
    assert_ptr_equal(later->services[0], bed->before->services[0]);
    assert_non_null(later->held[0]);
    snapshot_free(later);
}

/* ---- files ---- */

static void new_files_are_told_and_others_not(void **state)
{
    struct bed *bed = *state;
    record();
    verdicts_log(bed->before, bed->next);
    const char *text = recorded();
    expect_text(text, "a changed certificate was read");
    expect_text(text, "client.crt");
    expect_text(text, "subject=\"CN=gw\"");
    assert_null(strstr(text, "changed CAs"));
    record();
    verdicts_log(bed->next, bed->next);
    assert_string_equal(recorded(), "");
}

static void bad_files_are_told_once_and_when_they_are_mended(void **state)
{
    struct bed *bed = *state;
    fixture_write_text("ca.crt", "nothing");
    struct snapshot *bad = snapshot_refresh(bed->next);
    struct snapshot *still = snapshot_refresh(bad);
    record();
    verdicts_log(bed->next, bad);
    const char *text = recorded();
    expect_text(text, "a changed file cannot be used");
    expect_text(text, "ca.crt");
    expect_text(text, "what was read before stays in use");
    record();
    verdicts_log(bad, still);
    assert_string_equal(recorded(), "");
    site_write_ca("ca.crt");
    struct snapshot *good = snapshot_refresh(still);
    record();
    verdicts_log(still, good);
    text = recorded();
    expect_text(text, "a file can be used again");
    expect_text(text, "changed CAs or CRLs were read");
    snapshot_free(bad);
    snapshot_free(still);
    snapshot_free(good);
    (void)unlink("ca.crt");
    fixture_add("ca.crt", &site_ca);
}

static int enter(void **state)
{
    log_configure(LEVEL_INFO, LOG_TEXT);
    return site_enter(state);
}

#define bed_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        bed_test(all_or_nothing_is_refused_for_each_service_that_would_be_lost),
        bed_test(nobody_is_lost_who_passes_or_is_no_worse_off),
        bed_test(what_is_required_and_unknown_is_lost),
        bed_test(other_cas_are_told_as_such),
        bed_test(a_service_is_held_alone_and_told_once),
        bed_test(what_was_held_before_is_in_nobodys_way),
        bed_test(new_files_are_told_and_others_not),
        bed_test(bad_files_are_told_once_and_when_they_are_mended),
    };
    return cmocka_run_group_tests(tests, enter, site_leave);
}
