#include "base/mailbox.h"

#include <stddef.h>

bool mailbox_put(struct mailbox *box, struct letter *letter)
{
    struct letter *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);
    do {
        letter->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, letter,
                                                    memory_order_release, memory_order_relaxed));
    return newest == NULL;
}

struct letter *mailbox_take(struct mailbox *box)
{
    struct letter *newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);

    /* The box is a stack; whoever reads it wants the order of sending. */
    struct letter *oldest = NULL;
    while (newest != NULL) {
        struct letter *older = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}
