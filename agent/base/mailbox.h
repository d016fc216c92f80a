/* A mailbox: many threads put letters in without a lock, one thread takes them all out. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/* To be the first field of whatever is sent. */
struct letter {
    struct letter *next;
};

struct mailbox {
    _Atomic(struct letter *) newest;
};

/* Puts a letter in; the box owns it from here on. Returns true when the box was empty, that is,
 * when its reader has to be woken. Never fails. */
bool mailbox_put(struct mailbox *box, struct letter *letter);

/* Takes all letters out, oldest first, linked by `next`; NULL when there are none. The caller owns
 * them. Only one thread may take. */
struct letter *mailbox_take(struct mailbox *box);
