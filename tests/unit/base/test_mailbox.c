#include "base/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 4
#define LETTERS 5000

struct note {
    struct letter letter;
    int sender, number;
};

static void letters_come_out_oldest_first(void **state)
{
    (void)state;
    struct mailbox box = {.newest = NULL};
    struct note notes[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    assert_null(mailbox_take(&box));
    assert_true(mailbox_put(&box, &notes[0].letter));
    assert_false(mailbox_put(&box, &notes[1].letter));
    assert_false(mailbox_put(&box, &notes[2].letter));
    struct letter *letter = mailbox_take(&box);
    for (int i = 0; i < 3; i++, letter = letter->next) {
        assert_ptr_equal(letter, &notes[i].letter);
    }
    assert_null(letter);
    assert_null(mailbox_take(&box));
    assert_true(mailbox_put(&box, &notes[0].letter));
}

struct sender {
    struct mailbox *box;
    struct note *notes;
};

static void *put_all(void *ctx)
{
    const struct sender *sender = ctx;
    for (int i = 0; i < LETTERS; i++) {
        mailbox_put(sender->box, &sender->notes[i].letter);
    }
    return NULL;
}

/* Checks that what came is in order for each sender. Returns how many came. */
static int check_order(struct letter *letter, int *next)
{
    int n = 0;
    for (; letter != NULL; letter = letter->next, n++) {
        const struct note *note = (const struct note *)(const void *)letter;
        assert_int_equal(note->number, next[note->sender]++);
    }
    return n;
}

static void many_threads_lose_no_letter(void **state)
{
    (void)state;
    struct mailbox box = {.newest = NULL};
    static struct note notes[THREADS * LETTERS];
    struct sender senders[THREADS];
    pthread_t threads[THREADS];
    int next[THREADS] = {0}, got = 0;
    for (int t = 0; t < THREADS; t++) {
        senders[t] = (struct sender){&box, notes + (ptrdiff_t)t * LETTERS};
        for (int i = 0; i < LETTERS; i++) {
            senders[t].notes[i].sender = t;
            senders[t].notes[i].number = i;
        }
        assert_int_equal(pthread_create(&threads[t], NULL, put_all, &senders[t]), 0);
    }
    while (got < THREADS * LETTERS) {
        got += check_order(mailbox_take(&box), next);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    assert_null(mailbox_take(&box));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_come_out_oldest_first),
        cmocka_unit_test(many_threads_lose_no_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
