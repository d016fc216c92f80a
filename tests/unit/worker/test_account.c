/* An account: its places, of which a refused caller holds none, not even for a moment, and its last
 * failure, which one thread reads while others write. */
#include "base/clock.h"
#include "worker/account.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS  20000
#define PLACES  3

static void test_places_are_given_out_up_to_the_limit(void **state)
{
    (void)state;
    struct account account = {0};
    assert_true(account_enter(&account, 2));
    assert_true(account_enter(&account, 2));
    assert_false(account_enter(&account, 2));
    account_leave(&account);
    assert_true(account_enter(&account, 2));
}

static void test_a_refused_caller_takes_no_place(void **state)
{
    (void)state;
    struct account account = {0};
    assert_true(account_enter(&account, 1));
    for (int i = 0; i < 5; i++) {
        assert_false(account_enter(&account, 1));
    }
    account_leave(&account);
    assert_true(account_enter(&account, 1));
}

static void test_a_limit_that_is_lowered_holds_for_who_comes(void **state)
{
    (void)state;
    struct account account = {0};
    for (int i = 0; i < 5; i++) {
        assert_true(account_enter(&account, 5));
    }
    for (int i = 0; i < 3; i++) {
        assert_false(account_enter(&account, 2));
        account_leave(&account);
    }
    assert_int_equal(account.open, 2);
    assert_false(account_enter(&account, 2));
    assert_true(account_enter(&account, 3));
}

static void *come_and_go(void *ctx)
{
    struct account *account = ctx;
    uint64_t most = 0;
    for (int i = 0; i < ROUNDS; i++) {
        if (account_enter(account, PLACES)) {
            uint64_t open = atomic_load(&account->open);
            most = open > most ? open : most;
            account_leave(account);
        }
    }
    return most > PLACES ? account : NULL;
}

static void test_threads_share_the_places(void **state)
{
    (void)state;
    struct account account = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &account), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *went_over;
        pthread_join(threads[i], &went_over);
        assert_null(went_over);
    }
    assert_int_equal(account.open, 0);
}

/* ---- the last failure ---- */

static void test_there_was_no_failure_yet(void **state)
{
    (void)state;
    struct account *account = account_new("a");
    struct failure failure = {.reason = REASON_ok, .detail = "untouched"};
    assert_false(account_last_failure(account, &failure));
    assert_string_equal(failure.detail, "untouched");
    assert_int_equal(account->failed_ms, 0);
    account_unref(account);
}

static void test_the_last_failure_is_told_as_often_as_asked(void **state)
{
    (void)state;
    struct account *account = account_new("a");
    struct failure noted, told;
    failure_set(&noted, REASON_connect_refused, "192.0.2.1:443 refused");
    account_note_failure(account, &noted);
    uint64_t before = clock_ms();
    failure_set_by_peer(&noted, REASON_tls_alert, "alert 40, handshake_failure");
    account_note_failure(account, &noted);
    for (int i = 0; i < 3; i++) {
        assert_true(account_last_failure(account, &told));
        assert_int_equal(told.reason, REASON_tls_alert);
        assert_true(told.by_peer);
        assert_string_equal(told.detail, "alert 40, handshake_failure");
    }
    assert_true(account->failed_ms >= before);
    account_unref(account);
}

static void test_details_are_kept_as_they_are(void **state)
{
    (void)state;
    struct account *account = account_new("a");
    struct failure noted, told;
    char longest[FAILURE_DETAIL_MAX];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    failure_set(&noted, REASON_internal, "%s", longest);
    account_note_failure(account, &noted);
    assert_true(account_last_failure(account, &told));
    assert_string_equal(told.detail, longest);
    failure_set(&noted, REASON_internal, "%s", "100%s of it");
    account_note_failure(account, &noted);
    assert_true(account_last_failure(account, &told));
    assert_string_equal(told.detail, "100%s of it");
    account_unref(account);
}

/* Every reason comes back as it was noted, the last one of the enum too. */
static void test_every_reason_fits(void **state)
{
    (void)state;
    struct account *account = account_new("a");
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        struct failure noted, told;
        failure_set(&noted, (enum reason)i, "d");
        account_note_failure(account, &noted);
        assert_true(account_last_failure(account, &told));
        assert_int_equal(told.reason, i);
        assert_false(told.by_peer);
    }
    account_unref(account);
}

struct writer {
    struct account *account;
    char letter;
};

/* A text that tells when two of them were mixed. */
static void *write_failures(void *ctx)
{
    const struct writer *writer = ctx;
    struct failure failure = {.reason = REASON_connect_refused};
    for (int i = 0; i < ROUNDS / 4; i++) {
        size_t len = 1 + (size_t)i % (FAILURE_DETAIL_MAX - 1);
        memset(failure.detail, writer->letter, len);
        failure.detail[len] = '\0';
        account_note_failure(writer->account, &failure);
    }
    return NULL;
}

static void expect_whole(const struct failure *failure)
{
    assert_int_equal(failure->reason, REASON_connect_refused);
    assert_int_equal(strspn(failure->detail, (const char[]){failure->detail[0], '\0'}),
                     strlen(failure->detail));
}

static void test_the_last_failure_is_read_while_threads_write(void **state)
{
    (void)state;
    struct account *account = account_new("a");
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){account, (char)('a' + i)};
        assert_int_equal(pthread_create(&threads[i], NULL, write_failures, &writers[i]), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        struct failure failure;
        if (account_last_failure(account, &failure)) {
            expect_whole(&failure);
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    struct failure failure;
    assert_true(account_last_failure(account, &failure));
    expect_whole(&failure);
    assert_true(strlen(failure.detail) > 0);
    account_unref(account);
}

static void test_an_account_is_held_by_each_reference(void **state)
{
    (void)state;
    struct account *account = account_new("orders");
    assert_ptr_equal(account_ref(account), account);
    assert_null(account_unref(account));
    assert_string_equal(account->name, "orders");
    assert_null(account_unref(account));
    assert_null(account_unref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_given_out_up_to_the_limit),
        cmocka_unit_test(test_a_refused_caller_takes_no_place),
        cmocka_unit_test(test_a_limit_that_is_lowered_holds_for_who_comes),
        cmocka_unit_test(test_threads_share_the_places),
        cmocka_unit_test(test_there_was_no_failure_yet),
        cmocka_unit_test(test_the_last_failure_is_told_as_often_as_asked),
        cmocka_unit_test(test_details_are_kept_as_they_are),
        cmocka_unit_test(test_every_reason_fits),
        cmocka_unit_test(test_the_last_failure_is_read_while_threads_write),
        cmocka_unit_test(test_an_account_is_held_by_each_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
