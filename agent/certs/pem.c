#include "certs/pem.h"

#include <string.h>

#define PEM_FILE_MAX ((size_t)4 * 1024 * 1024) /* bytes */

static const char begin_mark[] = "-----BEGIN ";
static const char end_mark[] = "-----END ";
static const char dashes[] = "-----";

static const char *find(const char *at, const char *end, const char *mark)
{
    return memmem(at, (size_t)(end - at), mark, strlen(mark));
}

static bool starts_with(const char *at, const char *end, const char *text, size_t len)
{
    return (size_t)(end - at) >= len && memcmp(at, text, len) == 0;
}

int pem_read(const char *path, const char *what, struct place place, struct problems *problems,
             struct secret *ret_text)
{
    if (strncmp(path, "pkcs11:", 7) == 0 || strncmp(path, "tpmkey:", 7) == 0) {
        problems_error(problems, place,
                       "%s: keys and certificates in tokens are not available in this version",
                       path);
        return -1;
    }

    const char *why;
    struct secret text = {NULL, 0};
    if (secret_read(path, PEM_FILE_MAX, &text, &why) < 0) {
        problems_error(problems, place,
                       "%s: cannot read the %s: %s; check its name and permissions", path, what,
                       why);
        return -1;
    }
    const char *end = text.bytes + text.len;
    if (text.len == 0) {
        problems_error(problems, place, "%s: the file is empty; put the %s into it", path, what);
    } else if (find(text.bytes, end, begin_mark) == NULL &&
               find(text.bytes, end, end_mark) == NULL) {
        /* DER is a SEQUENCE, and so is what most people mean who have no PEM. */
        bool is_der = (unsigned char)text.bytes[0] == 0x30;
        problems_error(problems, place, "%s: is not PEM%s; give the %s as PEM (-----BEGIN ...)",
                       path, is_der ? " but probably DER or PKCS#12" : "", what);
    } else {
        *ret_text = text;
        return 0;
    }
    secret_release(&text);
    return -1;
}

struct pem_cursor pem_start(const struct secret *text)
{
    return (struct pem_cursor){.at = text->bytes, .end = text->bytes + text->len, .line = 1};
}

/* Moves the cursor and keeps the count of lines. */
static void advance(struct pem_cursor *cursor, const char *to)
{
    for (; cursor->at < to; cursor->at++) {
        cursor->line += *cursor->at == '\n';
    }
}

/* The end of the block whose label starts at `label`: behind its END line, which must be the next
 * mark of all. NULL when it is not. */
static const char *block_end(const char *label, size_t label_len, const char *end)
{
    const char *end_line = find(label, end, end_mark);
    const char *next_begin = find(label, end, begin_mark);
    if (end_line == NULL || (next_begin != NULL && next_begin < end_line)) {
        return NULL;
    }
    const char *end_label = end_line + strlen(end_mark);
    if (!starts_with(end_label, end, label, label_len) ||
        !starts_with(end_label + label_len, end, dashes, strlen(dashes))) {
        return NULL;
    }
    return end_label + label_len + strlen(dashes);
}

int pem_next(struct pem_cursor *cursor, struct pem_block *ret_block)
{
    const char *begin = find(cursor->at, cursor->end, begin_mark);
    const char *stray = find(cursor->at, cursor->end, end_mark);
    if (begin == NULL && stray == NULL) {
        return 0;
    }
    if (begin == NULL || (stray != NULL && stray < begin)) {
        advance(cursor, stray);
        ret_block->line = cursor->line;
        return -1;
    }

    advance(cursor, begin);
    ret_block->line = cursor->line;
    const char *label = begin + strlen(begin_mark);
    const char *closing = find(label, cursor->end, dashes);
    if (closing == NULL || memchr(label, '\n', (size_t)(closing - label)) != NULL) {
        return -1;
    }
    ret_block->label = label;
    ret_block->label_len = (size_t)(closing - label);
    const char *end = block_end(label, ret_block->label_len, cursor->end);
    if (end == NULL) {
        return -1;
    }
    ret_block->text.data = (unsigned char *)begin;
    ret_block->text.size = (unsigned)(end - begin);
    advance(cursor, end);
    return 1;
}

bool pem_is(const struct pem_block *block, const char *label)
{
    return block->label_len == strlen(label) && memcmp(block->label, label, block->label_len) == 0;
}

bool pem_is_key(const struct pem_block *block)
{
    static const char suffix[] = "PRIVATE KEY";
    size_t len = strlen(suffix);
    return block->label_len >= len &&
           memcmp(block->label + block->label_len - len, suffix, len) == 0;
}
