/* What is the same object from one snapshot to the next and what is a new one, whose id is whose,
 * and what becomes of files that are bad or change while they are read. */
#include "base/clock.h"
#include "control/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/control/site.h"

#define HANG_MS 30000

#define TWO                                                                                        \
    "[service a]\nlisten = 127.0.0.1:9001\n"                                                       \
    "[service b]\nlisten = 127.0.0.1:9002\ncertificate = second\nca = second.crt\n"                \
    "[certificate second]\ncert = client2.crt\nkey = client2.key\n"

static void configure_two(void)
{
    site_write_identity("client2.crt", "client2.key");
    site_write_ca("second.crt");
    site_configure(TWO);
}

static void expect_same(const struct snapshot *before, const struct snapshot *next,
                        const char *name)
{
    assert_ptr_equal(site_service(before, name), site_service(next, name));
}

/* Another one, with the place and the counts of the old. */
static void expect_renewed(const struct snapshot *before, const struct snapshot *next,
                           const char *name)
{
    const struct service *was = site_service(before, name), *now = site_service(next, name);
    assert_ptr_not_equal(was, now);
    assert_int_equal(was->id, now->id);
    assert_ptr_equal(was->account, now->account);
    assert_int_equal(next->was[site_find(next, name)], site_find(before, name));
}

static void copy(const char *from, const char *to)
{
    char command[256];
    snprintf(command, sizeof(command), "cp -p %s %s.new && mv %s.new %s", from, to, to, to);
    fixture_run(command);
}

/* ---- the first ---- */

static void the_first_snapshot_has_all_and_was_nothing(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *snapshot = site_load(NULL);
    assert_int_equal(snapshot->n_ids, 2);
    assert_int_equal(snapshot->n_trusts, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(snapshot->services[i]->id, i);
        assert_int_equal(snapshot->was[i], SNAPSHOT_NEW);
        assert_null(snapshot->held[i]);
        assert_string_equal(snapshot->services[i]->name, snapshot->config->services[i].name);
        const struct profile *profile = snapshot->services[i]->profile;
        assert_ptr_equal(profile_identity(profile), snapshot_identity(snapshot, i));
        assert_ptr_equal(profile_trust(profile), snapshot_trust(snapshot, i));
    }
    assert_null(snapshot_free(snapshot));
    assert_null(snapshot_free(NULL));
}

static void services_share_what_is_of_the_same_files(void **state)
{
    (void)state;
    fixture_add_crl("ca.crl", (struct fixture_crl){.issuer = &site_ca});
    site_configure("[service a]\nlisten = 127.0.0.1:9001\n"
                   "[service b]\nlisten = 127.0.0.1:9002\ncrl = ca.crl\n"
                   "[service c]\nlisten = 127.0.0.1:9003\n"
                   "[service d]\nlisten = 127.0.0.1:9004\ncrl = ca.crl\n");
    struct snapshot *snapshot = site_load(NULL);
    assert_int_equal(snapshot->n_trusts, 2);
    assert_ptr_equal(snapshot_trust(snapshot, 0), snapshot_trust(snapshot, 2));
    assert_ptr_equal(snapshot_trust(snapshot, 1), snapshot_trust(snapshot, 3));
    assert_ptr_not_equal(snapshot_trust(snapshot, 0), snapshot_trust(snapshot, 1));
    snapshot_free(snapshot);
    assert_int_equal(unlink("ca.crl"), 0);
}

/* ---- a reload ---- */

static void what_has_not_changed_is_the_same_object(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    struct snapshot *next = site_load(before);
    expect_same(before, next, "a");
    expect_same(before, next, "b");
    for (size_t i = 0; i < 2; i++) {
        assert_ptr_equal(before->identities[i].identity, next->identities[i].identity);
        assert_ptr_equal(before->trusts[i].trust, next->trusts[i].trust);
        assert_int_equal(next->was[i], i);
    }
    assert_int_equal(next->n_ids, before->n_ids);
    snapshot_free(before);
    snapshot_free(next);
}

static void order_comments_and_spelling_do_not_count(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    site_configure("; moved\n[certificate second]\nkey = client2.key\ncert = ./client2.crt\n"
                   "[service b]\nca = second.crt\nlisten = 127.0.0.1:9002\ncertificate = second\n"
                   "[service a]\nidle_timeout = 600s\nlisten = 127.0.0.1:9001\n");
    struct snapshot *next = site_load(before);
    assert_int_equal(next->was[0], 1);
    assert_int_equal(next->was[1], 0);
    expect_same(before, next, "a");
    snapshot_free(before);
    snapshot_free(next);
}

static void files_that_are_written_again_do_not_count(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    fixture_run("for f in client.crt client.key ca.crt; do cp -p $f x && mv x $f; done");
    struct snapshot *next = site_load(before);
    expect_same(before, next, "a");
    expect_same(before, next, "b");
    snapshot_free(before);
    snapshot_free(next);
}

static void only_the_service_that_changes_is_a_new_one(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    site_configure(TWO "[service c]\nlisten = 127.0.0.1:9003\nidle_timeout = 1m\n");
    struct snapshot *middle = site_load(before);
    site_configure(TWO "[service c]\nlisten = 127.0.0.1:9003\nidle_timeout = 2m\n");
    struct snapshot *next = site_load(middle);
    expect_same(before, next, "a");
    expect_same(before, next, "b");
    expect_renewed(middle, next, "c");
    assert_int_equal(site_service(middle, "c")->idle_timeout_ms, 60000);
    assert_int_equal(site_service(next, "c")->idle_timeout_ms, 120000);
    snapshot_free(before);
    snapshot_free(middle);
    snapshot_free(next);
}

static void only_who_uses_a_new_certificate_changes(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    site_write_identity("client2.crt", "client2.key");
    struct snapshot *next = site_load(before);
    expect_same(before, next, "a");
    expect_renewed(before, next, "b");
    assert_ptr_not_equal(snapshot_identity(before, 1), snapshot_identity(next, 1));
    assert_ptr_equal(snapshot_trust(before, 1), snapshot_trust(next, 1));
    snapshot_free(before);
    snapshot_free(next);
}

static void only_who_uses_a_new_ca_changes(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    site_write_ca("second.crt");
    struct snapshot *next = site_load(before);
    expect_same(before, next, "a");
    expect_renewed(before, next, "b");
    assert_ptr_equal(snapshot_identity(before, 1), snapshot_identity(next, 1));
    snapshot_free(before);
    snapshot_free(next);
}

/* The same CAs in another order, or twice, are the same. */
static void cas_that_are_written_otherwise_do_not_count(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    fixture_run("echo '# the same' >> second.crt");
    struct snapshot *next = site_load(before);
    expect_same(before, next, "b");
    assert_ptr_equal(snapshot_trust(before, 1), snapshot_trust(next, 1));
    snapshot_free(before);
    snapshot_free(next);
}

static void a_crl_that_changes_makes_another_trust(void **state)
{
    (void)state;
    fixture_add_crl("ca.crl", (struct fixture_crl){.issuer = &site_ca});
    site_configure("[service a]\nlisten = 127.0.0.1:9001\ncrl = ca.crl\n"
                   "[service b]\nlisten = 127.0.0.1:9002\n");
    struct snapshot *before = site_load(NULL);
    assert_int_equal(unlink("ca.crl"), 0);
    fixture_add_crl("ca.crl",
                    (struct fixture_crl){.issuer = &site_ca, .from_s = -60, .to_s = 7200});
    struct snapshot *next = site_load(before);
    expect_renewed(before, next, "a");
    expect_same(before, next, "b");
    assert_true(trust_has_same_cas(snapshot_trust(before, 0), snapshot_trust(next, 0)));
    assert_false(trust_has_same_crls(snapshot_trust(before, 0), snapshot_trust(next, 0)));
    snapshot_free(before);
    snapshot_free(next);
    assert_int_equal(unlink("ca.crl"), 0);
}

static void an_error_leaves_the_snapshot_in_use(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    const struct service *service = site_service(before, "a");
    site_configure(TWO "[service c]\nlisten = 127.0.0.1:9003\nidle_timeout = soon\n");
    site_refuse(before, "conf:19: ");
    site_configure(TWO "[service c]\nlisten = 127.0.0.1:9003\nca = none.crt\n");
    site_refuse(before, "none.crt");
    fixture_write_text("client.key", "nothing");
    site_configure(TWO);
    site_refuse(before, "client.key");
    assert_ptr_equal(site_service(before, "a"), service);
    assert_non_null(snapshot_identity(before, 0));
    snapshot_free(before);
    site_write_identity("client.crt", "client.key");
}

/* ---- ids ---- */

static void a_new_service_never_gets_the_id_of_one_that_goes(void **state)
{
    (void)state;
    site_configure("[service a]\nlisten = 127.0.0.1:9001\n[service b]\nlisten = 127.0.0.1:9002\n");
    struct snapshot *before = site_load(NULL);
    site_configure("[service c]\nlisten = 127.0.0.1:9001\n[service b]\nlisten = 127.0.0.1:9002\n");
    struct snapshot *next = site_load(before);
    assert_int_equal(next->was[site_find(next, "c")], SNAPSHOT_NEW);
    assert_ptr_not_equal(site_service(next, "c")->account, site_service(before, "a")->account);
    expect_same(before, next, "b");
    assert_int_equal(site_service(next, "c")->id, 2);
    assert_int_equal(next->n_ids, 3);
    /* The one after that may. */
    site_configure("[service c]\nlisten = 127.0.0.1:9001\n[service b]\nlisten = 127.0.0.1:9002\n"
                   "[service d]\nlisten = 127.0.0.1:9004\n");
    struct snapshot *last = site_load(next);
    assert_int_equal(site_service(last, "d")->id, 0);
    assert_int_equal(last->n_ids, 3);
    snapshot_free(before);
    snapshot_free(next);
    snapshot_free(last);
}

/* Where no ledger has kept its counts. */
static void a_service_that_comes_back_is_a_new_one(void **state)
{
    (void)state;
    site_configure("[service a]\nlisten = 127.0.0.1:9001\n[service b]\nlisten = 127.0.0.1:9002\n");
    struct snapshot *before = site_load(NULL);
    site_configure("[service b]\nlisten = 127.0.0.1:9002\n");
    struct snapshot *without = site_load(before);
    site_configure("[service a]\nlisten = 127.0.0.1:9001\n[service b]\nlisten = 127.0.0.1:9002\n");
    struct snapshot *again = site_load(without);
    assert_int_equal(again->was[0], SNAPSHOT_NEW);
    assert_ptr_not_equal(site_service(again, "a")->account, site_service(before, "a")->account);
    expect_same(before, again, "b");
    snapshot_free(before);
    snapshot_free(without);
    snapshot_free(again);
}

static void ids_do_not_grow_with_the_number_of_reloads(void **state)
{
    (void)state;
    struct snapshot *snapshot = NULL;
    for (int i = 0; i < 50; i++) {
        site_configure("[service a%d]\nlisten = 127.0.0.1:9001\n"
                       "[service b%d]\nlisten = 127.0.0.1:9002\n[service c]\n"
                       "listen = 127.0.0.1:9003\n",
                       i, i / 2);
        struct snapshot *next = site_load(snapshot);
        bool seen[8] = {false};
        for (size_t k = 0; k < 3; k++) {
            size_t id = next->services[k]->id;
            assert_true(id < next->n_ids && !seen[id]);
            seen[id] = true;
        }
        assert_true(next->n_ids <= 5);
        snapshot_free(snapshot);
        snapshot = next;
    }
    snapshot_free(snapshot);
}

/* ---- files that change, with the configuration as it is ---- */

static struct snapshot *refresh(const struct snapshot *before)
{
    struct snapshot *next = snapshot_refresh(before);
    assert_non_null(next);
    assert_ptr_equal(next->config, before->config);
    return next;
}

static void a_refresh_without_a_change_is_all_the_same(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    struct snapshot *next = refresh(before);
    expect_same(before, next, "a");
    expect_same(before, next, "b");
    assert_null(next->identities[0].problem);
    snapshot_free(before); /* parts and configuration are shared */
    struct snapshot *last = refresh(next);
    expect_same(next, last, "a");
    snapshot_free(next);
    snapshot_free(last);
}

static void a_refresh_does_not_read_the_configuration(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    site_configure("nonsense");
    site_write_identity("client.crt", "client.key");
    struct snapshot *next = refresh(before);
    expect_renewed(before, next, "a");
    expect_same(before, next, "b");
    snapshot_free(before);
    snapshot_free(next);
}

static void a_bad_file_keeps_the_old_while_others_are_taken(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    fixture_write_text("client.key", "nothing");
    fixture_write_text("second.crt", "nothing");
    site_write_identity("client2.crt", "client2.key");
    struct snapshot *next = refresh(before);
    expect_same(before, next, "a");
    expect_renewed(before, next, "b");
    assert_non_null(strstr(next->identities[0].problem, "client.key"));
    assert_null(next->identities[1].problem);
    assert_null(next->trusts[0].problem);
    assert_non_null(strstr(next->trusts[1].problem, "second.crt"));
    assert_ptr_equal(next->identities[0].identity, before->identities[0].identity);
    assert_ptr_equal(next->trusts[1].trust, before->trusts[1].trust);
    /* It stays so as long as the files do. */
    struct snapshot *later = refresh(next);
    expect_same(next, later, "a");
    expect_same(next, later, "b");
    assert_string_equal(later->identities[0].problem, next->identities[0].problem);
    snapshot_free(before);
    snapshot_free(next);
    snapshot_free(later);
    site_write_identity("client.crt", "client.key");
}

static void a_key_that_does_not_go_with_the_certificate_keeps_the_old_pair(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    copy("client2.crt", "client.crt"); /* and its key is on its way */
    struct snapshot *half = refresh(before);
    expect_same(before, half, "a");
    assert_non_null(half->identities[0].problem);
    copy("client2.key", "client.key");
    struct snapshot *whole = refresh(half);
    expect_renewed(half, whole, "a");
    assert_null(whole->identities[0].problem);
    snapshot_free(before);
    snapshot_free(half);
    snapshot_free(whole);
}

static void what_is_mended_is_taken(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    fixture_write_text("second.crt", "nothing");
    struct snapshot *bad = refresh(before);
    site_write_ca("second.crt");
    struct snapshot *good = refresh(bad);
    assert_non_null(bad->trusts[1].problem);
    assert_null(good->trusts[1].problem);
    expect_renewed(bad, good, "b");
    snapshot_free(before);
    snapshot_free(bad);
    snapshot_free(good);
}

/* A volume that was away for a while: nothing has been replaced. */
static void what_is_restored_as_it_was_is_the_same(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    fixture_run("mkdir away && mv client.* ca.crt away");
    struct snapshot *without = refresh(before);
    expect_same(before, without, "a");
    assert_non_null(without->identities[0].problem);
    assert_non_null(without->trusts[0].problem);
    fixture_run("mv away/* . && rmdir away");
    struct snapshot *again = refresh(without);
    assert_null(again->identities[0].problem);
    assert_null(again->trusts[0].problem);
    expect_same(before, again, "a");
    snapshot_free(before);
    snapshot_free(without);
    snapshot_free(again);
}

/* A reload is stricter: it takes nothing that is bad, also where the old would do. */
static void a_reload_is_refused_where_a_refresh_keeps_the_old(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    fixture_write_text("second.crt", "nothing");
    struct snapshot *kept = refresh(before);
    site_refuse(kept, "second.crt");
    site_write_ca("second.crt");
    struct snapshot *next = site_load(kept);
    assert_null(next->trusts[1].problem);
    expect_renewed(kept, next, "b");
    snapshot_free(before);
    snapshot_free(kept);
    snapshot_free(next);
}

/* ---- what is held ---- */

static void a_service_that_is_held_goes_on_as_it_was(void **state)
{
    (void)state;
    configure_two();
    struct snapshot *before = site_load(NULL);
    site_write_identity("client2.crt", "client2.key");
    struct snapshot *next = refresh(before);
    size_t b = site_find(next, "b");
    assert_int_equal(snapshot_hold(next, b, service_ref(site_service(before, "b")),
                                   "it is refused"),
                     0);
    expect_same(before, next, "b");
    assert_string_equal(next->held[b], "it is refused");
    assert_int_equal(snapshot_hold(next, b, service_ref(site_service(before, "b")), "still"), 0);
    assert_string_equal(next->held[b], "still");
    /* The next one tries the new files again. */
    struct snapshot *later = refresh(next);
    expect_renewed(next, later, "b");
    assert_null(later->held[b]);
    assert_ptr_equal(profile_identity(site_service(later, "b")->profile),
                     later->identities[1].identity);
    assert_ptr_equal(later->identities[1].identity, next->identities[1].identity);
    snapshot_free(before);
    snapshot_free(next);
    snapshot_free(later);
}

/* ---- files that change while they are read ---- */

#define TRIES 200

/* Two pairs, of which now the one and now the other stands in the place of the third. */
static void *keep_changing(void *ctx)
{
    _Atomic(bool) *is_over = ctx;
    for (unsigned i = 0; !atomic_load(is_over); i++) {
        char from[32];
        snprintf(from, sizeof(from), "pair%u", i % 2);
        (void)unlink("link.new");
        if (symlink(from, "link.new") < 0 || rename("link.new", "link") < 0) {
            abort();
        }
    }
    return NULL;
}

static void expect_pair(const struct problems *problems)
{
    const char *text = fixture_text(problems);
    if (strstr(text, "changed while it was read") == NULL && strstr(text, "key") == NULL) {
        fail_msg("noted was: %s", text);
    }
}

static void what_changes_while_it_is_read_is_not_taken(void **state)
{
    (void)state;
    pthread_t thread;
    _Atomic(bool) is_over = false;
    fixture_run("mkdir pair0 pair1");
    site_write_identity("pair0/c", "pair0/k");
    site_write_identity("pair1/c", "pair1/k");
    fixture_run("ln -s pair0 link");
    site_configure("[certificate moving]\ncert = link/c\nkey = link/k\n"
                   "[service a]\nlisten = 127.0.0.1:9001\ncertificate = moving\n");
    assert_int_equal(pthread_create(&thread, NULL, keep_changing, &is_over), 0);
    uint64_t hang_ms = clock_ms() + HANG_MS;
    bool was_seen = false;
    /* What is read is a pair in any case; that it cannot be is rare, for it is tried again. */
    for (int i = 0; i < TRIES && !was_seen && clock_ms() < hang_ms; i++) {
        struct problems *problems = problems_new();
        struct config *config = NULL;
        struct snapshot *snapshot = snapshot_load("conf", NULL, NULL, problems, &config);
        if (snapshot == NULL) {
            expect_pair(problems);
            was_seen = strstr(fixture_text(problems), "changed while it was read") != NULL;
            config_free(config);
        }
        snapshot_free(snapshot);
        problems_free(problems);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    fixture_run("rm -r pair0 pair1 link");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_snapshot_has_all_and_was_nothing),
        cmocka_unit_test(services_share_what_is_of_the_same_files),
        cmocka_unit_test(what_has_not_changed_is_the_same_object),
        cmocka_unit_test(order_comments_and_spelling_do_not_count),
        cmocka_unit_test(files_that_are_written_again_do_not_count),
        cmocka_unit_test(only_the_service_that_changes_is_a_new_one),
        cmocka_unit_test(only_who_uses_a_new_certificate_changes),
        cmocka_unit_test(only_who_uses_a_new_ca_changes),
        cmocka_unit_test(cas_that_are_written_otherwise_do_not_count),
        cmocka_unit_test(a_crl_that_changes_makes_another_trust),
        cmocka_unit_test(an_error_leaves_the_snapshot_in_use),
        cmocka_unit_test(a_new_service_never_gets_the_id_of_one_that_goes),
        cmocka_unit_test(a_service_that_comes_back_is_a_new_one),
        cmocka_unit_test(ids_do_not_grow_with_the_number_of_reloads),
        cmocka_unit_test(a_refresh_without_a_change_is_all_the_same),
        cmocka_unit_test(a_refresh_does_not_read_the_configuration),
        cmocka_unit_test(a_bad_file_keeps_the_old_while_others_are_taken),
        cmocka_unit_test(a_key_that_does_not_go_with_the_certificate_keeps_the_old_pair),
        cmocka_unit_test(what_is_mended_is_taken),
        cmocka_unit_test(what_is_restored_as_it_was_is_the_same),
        cmocka_unit_test(a_reload_is_refused_where_a_refresh_keeps_the_old),
        cmocka_unit_test(a_service_that_is_held_goes_on_as_it_was),
        cmocka_unit_test(what_changes_while_it_is_read_is_not_taken),
    };
    return cmocka_run_group_tests(tests, site_enter, site_leave);
}
