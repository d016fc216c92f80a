/* A circular doubly linked list whose links live inside the items. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

/* The item of type `type` whose field `field` is the link `link`. */
#define list_item(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

/* `link` walks the list; the SAFE form survives the removal of the current link. */
#define LIST_EACH(link, head)                                                                      \
    for (struct list *link = (head)->next; link != (head); link = link->next)
#define LIST_EACH_SAFE(link, head)                                                                 \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);              \
         link = link##_next, link##_next = link->next)

/* Makes `head` an empty list; also makes a lone link safe to remove. */
static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Puts `link` last. It must not be in a list. */
static inline void list_append(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Puts `link` first. It must not be in a list. */
static inline void list_prepend(struct list *head, struct list *link)
{
    list_append(head->next, link);
}

/* Takes `link` out of its list, if it is in one, and leaves it as a lone link. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
