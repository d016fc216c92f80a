/* Texts of a fixed size that are cut where they are full. */
#pragma once

#include <stdio.h>
#include <string.h>

/* Appends `part` to the text in `text`, as far as it fits into `size` bytes. */
static inline void cut_append(char *text, size_t size, const char *part)
{
    size_t len = strlen(text);
    size_t room = size - len - 1, add = strlen(part);
    if (add > room) {
        add = room;
    }
    memcpy(text + len, part, add);
    text[len + add] = '\0';
}
