/* Whose accounts are kept, and for how long after their services have gone. */
#include "base/clock.h"
#include "control/ledger.h"
#include "worker/worker.h"

#include "tests/unit/control/site.h"

static void on_worker(void *ctx)
{
    (void)ctx;
}

struct books {
    struct ledger ledger;
    struct snapshot *snapshot;
};

/* Goes over to a configuration of these services. */
static void go_on(struct books *books, const char *const *names)
{
    char text[1024] = "";
    for (size_t i = 0; names[i] != NULL; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "[service %s]\nlisten = 127.0.0.1:%zu\n", names[i],
                 9001 + i);
    }
    site_configure("%s", text);
    struct snapshot *next = site_load_beside(books->snapshot, &books->ledger);
    assert_int_equal(ledger_reserve(&books->ledger, next), 0);
    ledger_take(&books->ledger, next);
    snapshot_free(books->snapshot);
    books->snapshot = next;
}

#define go_on(books, ...) go_on(books, (const char *const[]){__VA_ARGS__, NULL})

static void close_books(struct books *books)
{
    ledger_release(&books->ledger);
    snapshot_free(books->snapshot);
}

static struct account *account_of(const struct books *books, const char *name)
{
    struct account *account = site_service(books->snapshot, name)->account;
    assert_ptr_equal(ledger_find(&books->ledger, name), account);
    return account;
}

static void every_service_has_its_account_once(void **state)
{
    (void)state;
    struct books books = {0};
    go_on(&books, "a", "b");
    assert_int_equal(books.ledger.n, 2);
    for (int i = 0; i < 5; i++) {
        go_on(&books, "b", "a");
        assert_int_equal(books.ledger.n, 2);
    }
    assert_ptr_not_equal(account_of(&books, "a"), account_of(&books, "b"));
    assert_null(ledger_find(&books.ledger, "c"));
    assert_null(ledger_find(NULL, "a"));
    close_books(&books);
    assert_int_equal(books.ledger.n, 0);
}

static void connections_are_summed_up(void **state)
{
    (void)state;
    struct books books = {0};
    assert_int_equal(ledger_open(&books.ledger), 0);
    go_on(&books, "a", "b");
    assert_true(account_enter(account_of(&books, "a"), 10));
    assert_true(account_enter(account_of(&books, "a"), 10));
    assert_true(account_enter(account_of(&books, "b"), 10));
    assert_int_equal(ledger_open(&books.ledger), 3);
    close_books(&books);
}

static void who_has_departed_is_kept_while_connections_are_open(void **state)
{
    (void)state;
    struct books books = {0};
    go_on(&books, "a", "b");
    struct account *a = account_of(&books, "a");
    assert_true(account_enter(a, 10));
    for (int i = 0; i < 5; i++) {
        go_on(&books, "b");
        assert_ptr_equal(ledger_find(&books.ledger, "a"), a);
        assert_int_equal(ledger_open(&books.ledger), 1);
    }
    account_leave(a);
    go_on(&books, "b");
    assert_null(ledger_find(&books.ledger, "a"));
    assert_int_equal(books.ledger.n, 1);
    close_books(&books);
}

/* The workers may not have heard of it yet, and let in who waits at its doors. */
static void who_departs_is_kept_for_one_step_more(void **state)
{
    (void)state;
    struct books books = {0};
    go_on(&books, "a", "b");
    go_on(&books, "b");
    assert_non_null(ledger_find(&books.ledger, "a"));
    go_on(&books, "b");
    assert_null(ledger_find(&books.ledger, "a"));
    close_books(&books);
}

static void who_has_failures_to_tell_is_kept(void **state)
{
    (void)state;
    const struct worker_watcher watcher = {.changed = on_worker};
    struct books books = {0};
    struct failure failure;
    go_on(&books, "a", "b");
    struct account *a = account_of(&books, "a");
    failure_set(&failure, REASON_connect_refused, "refused");
    assert_false(tally_fold(a->connections, &failure, clock_ms(), &watcher));
    assert_true(tally_fold(a->connections, &failure, clock_ms(), &watcher));
    for (int i = 0; i < 3; i++) {
        go_on(&books, "b");
        assert_ptr_equal(ledger_find(&books.ledger, "a"), a);
    }
    close_books(&books);
}

/* Its counts go on, and its connections belong to it again. */
static void who_comes_back_in_time_has_the_account_of_before(void **state)
{
    (void)state;
    struct books books = {0};
    go_on(&books, "a", "b");
    struct account *a = account_of(&books, "a");
    assert_true(account_enter(a, 10));
    go_on(&books, "b");
    go_on(&books, "b");
    go_on(&books, "b", "a");
    assert_ptr_equal(account_of(&books, "a"), a);
    assert_int_equal(books.ledger.n, 2);
    account_leave(a);
    go_on(&books, "b", "a");
    assert_ptr_equal(account_of(&books, "a"), a);
    close_books(&books);
}

static void a_snapshot_that_is_refused_leaves_no_trace(void **state)
{
    (void)state;
    struct books books = {0};
    go_on(&books, "a");
    for (int i = 0; i < 3; i++) {
        site_configure("[service n]\nlisten = 127.0.0.1:9009\n");
        struct snapshot *next = site_load_beside(books.snapshot, &books.ledger);
        assert_int_equal(ledger_reserve(&books.ledger, next), 0);
        snapshot_free(next);
        assert_int_equal(books.ledger.n, 1);
    }
    go_on(&books, "a", "n");
    assert_int_equal(books.ledger.n, 2);
    close_books(&books);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_service_has_its_account_once),
        cmocka_unit_test(connections_are_summed_up),
        cmocka_unit_test(who_has_departed_is_kept_while_connections_are_open),
        cmocka_unit_test(who_departs_is_kept_for_one_step_more),
        cmocka_unit_test(who_has_failures_to_tell_is_kept),
        cmocka_unit_test(who_comes_back_in_time_has_the_account_of_before),
        cmocka_unit_test(a_snapshot_that_is_refused_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, site_enter, site_leave);
}
