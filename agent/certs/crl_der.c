#include "certs/crl_der.h"

#include "base/cleanup.h"

#include <stdbool.h>
#include <string.h>

#define TAG_BOOLEAN    0x01
#define TAG_INTEGER    0x02
#define TAG_BIT_STRING 0x03
#define TAG_OID        0x06
#define TAG_UTC        0x17
#define TAG_TIME       0x18
#define TAG_SEQUENCE   0x30
#define TAG_EXTENSIONS 0xa0
#define TAG_SALT       0xa2
#define SALT_STANDARD  20

#define HEADER_MAX 6 /* bytes of a tag and a length */

static const char not_a_crl[] = "is no CRL, or is damaged or cut short";
static const char out_of_memory[] = "does not fit into memory";

/* Where reading has got to, and what was read last: its tag, where it begins, and what is in it. */
struct cursor {
    const uint8_t *at, *end;
    const uint8_t *start;
    const uint8_t *bytes;
    size_t len;
    uint8_t tag;
};

static struct cursor enter(const struct cursor *cursor)
{
    return (struct cursor){.at = cursor->bytes, .end = cursor->bytes + cursor->len};
}

/* Reads a length of one to four bytes behind its first, which says how many. */
static bool read_long_length(struct cursor *cursor, unsigned n)
{
    if (n == 0 || n > 4 || (size_t)(cursor->end - cursor->at) < n) {
        return false;
    }
    cursor->len = 0;
    for (unsigned i = 0; i < n; i++) {
        cursor->len = cursor->len << 8 | *cursor->at++;
    }
    return true;
}

/* Moves behind the next value, whatever it is. False: there is none, or not the whole of it. */
static bool next(struct cursor *cursor)
{
    if (cursor->end - cursor->at < 2) {
        return false;
    }
    cursor->start = cursor->at;
    cursor->tag = *cursor->at++;
    uint8_t first = *cursor->at++;
    cursor->len = first;
    if (first >= 0x80 && !read_long_length(cursor, first & 0x7f)) {
        return false;
    }
    if ((size_t)(cursor->end - cursor->at) < cursor->len) {
        return false;
    }
    cursor->bytes = cursor->at;
    cursor->at += cursor->len;
    return true;
}

static bool next_is(struct cursor *cursor, uint8_t tag)
{
    return cursor->at < cursor->end && *cursor->at == tag && next(cursor);
}

static bool next_is_time(struct cursor *cursor)
{
    return next_is(cursor, TAG_UTC) || next_is(cursor, TAG_TIME);
}

static bool is_at_end(const struct cursor *cursor)
{
    return cursor->at == cursor->end;
}

struct crl_entry crl_entry_of(const uint8_t *serial, size_t len)
{
    while (len > 1 && serial[0] == 0) {
        serial++;
        len--;
    }
    return (struct crl_entry){serial, len};
}

int crl_entry_compare(const void *a, const void *b)
{
    const struct crl_entry *x = a, *y = b;
    if (x->len != y->len) {
        return x->len < y->len ? -1 : 1;
    }
    return memcmp(x->serial, y->serial, x->len);
}

/* Judges one extension of an entry. Those that say why and when something was revoked change
 * nothing. The certificateIssuer would: the entry is another CA's. */
static const char *check_entry_extension(struct cursor extension)
{
    static const uint8_t harmless[][3] = {
        {0x55, 0x1d, 0x15}, /* reasonCode */
        {0x55, 0x1d, 0x17}, /* holdInstructionCode */
        {0x55, 0x1d, 0x18}, /* invalidityDate */
    };
    static const uint8_t certificate_issuer[] = {0x55, 0x1d, 0x1d};
    if (!next_is(&extension, TAG_OID)) {
        return not_a_crl;
    }
    const uint8_t *oid = extension.bytes;
    size_t len = extension.len;
    if (len == 3 && memcmp(oid, certificate_issuer, len) == 0) {
        return "is an indirect CRL, which lists other CAs' certificates; give that of the CA alone";
    }
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (len == 3 && memcmp(oid, harmless[i], len) == 0) {
            return NULL;
        }
    }
    return next_is(&extension, TAG_BOOLEAN) && extension.len == 1 && extension.bytes[0] != 0
               ? "has an entry with a critical extension that is not understood"
               : NULL;
}

/* What may follow the serial and the date. */
static const char *check_entry_extensions(struct cursor *entry)
{
    if (is_at_end(entry)) {
        return NULL;
    }
    if (!next_is(entry, TAG_SEQUENCE) || !is_at_end(entry)) {
        return not_a_crl;
    }
    struct cursor extensions = enter(entry);
    while (!is_at_end(&extensions)) {
        const char *why = next_is(&extensions, TAG_SEQUENCE)
                              ? check_entry_extension(enter(&extensions))
                              : not_a_crl;
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

static const char *add_entry(struct cursor entry, struct crl_der *parts, size_t *room)
{
    if (!next_is(&entry, TAG_INTEGER) || entry.len == 0) {
        return not_a_crl;
    }
    if (parts->n == *room) {
        size_t more = *room > 0 ? *room * 2 : 64;
        struct crl_entry *entries = reallocarray(parts->entries, more, sizeof(*entries));
        if (entries == NULL) {
            return out_of_memory;
        }
        parts->entries = entries;
        *room = more;
    }
    parts->entries[parts->n++] = crl_entry_of(entry.bytes, entry.len);
    return next_is_time(&entry) ? check_entry_extensions(&entry) : not_a_crl;
}

static const char *read_list(struct cursor list, struct crl_der *parts)
{
    size_t room = 0;
    while (!is_at_end(&list)) {
        const char *why =
            next_is(&list, TAG_SEQUENCE) ? add_entry(enter(&list), parts, &room) : not_a_crl;
        if (why != NULL) {
            return why;
        }
    }
    if (parts->n > 0) {
        qsort(parts->entries, parts->n, sizeof(parts->entries[0]), crl_entry_compare);
    }
    return NULL;
}

/* Writes the tag and the length of a SEQUENCE. Returns where it ends. */
static uint8_t *put_header(uint8_t *to, size_t len)
{
    *to++ = TAG_SEQUENCE;
    if (len < 0x80) {
        *to++ = (uint8_t)len;
        return to;
    }
    unsigned n = len > 0xffffff ? 4 : len > 0xffff ? 3 : len > 0xff ? 2 : 1;
    *to++ = (uint8_t)(0x80 | n);
    while (n-- > 0) {
        *to++ = (uint8_t)(len >> (8 * n));
    }
    return to;
}

static uint8_t *put(uint8_t *to, const uint8_t *from, const uint8_t *end)
{
    size_t len = (size_t)(end - from);
    memcpy(to, from, len);
    return to + len;
}

/* Where the list stands in what was signed. */
struct gap {
    const uint8_t *start, *end;
};

/* Makes a CRL without the gap. Its signature no longer fits, but can be read. */
static const char *make_head(const struct cursor *crl, const struct cursor *tbs, struct gap gap,
                             gnutls_datum_t *ret_head)
{
    const uint8_t *end = crl->bytes + crl->len, *tbs_end = tbs->bytes + tbs->len;
    uint8_t header[HEADER_MAX];
    size_t tbs_len = tbs->len - (size_t)(gap.end - gap.start);
    size_t header_len = (size_t)(put_header(header, tbs_len) - header);
    size_t len = header_len + tbs_len + (size_t)(end - tbs_end);
    uint8_t *head = malloc(HEADER_MAX + len);
    if (head == NULL) {
        return out_of_memory;
    }
    uint8_t *at = put_header(head, len);
    at = put(at, header, header + header_len);
    at = put(at, tbs->bytes, gap.start);
    at = put(at, gap.end, tbs_end);
    at = put(at, tbs_end, end);
    *ret_head = (gnutls_datum_t){head, (unsigned)(at - head)};
    return NULL;
}

static bool is_same(const struct cursor *a, const struct cursor *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* Reads what is signed, from its algorithm to its list, and finds that. */
static const char *read_signed(const struct cursor *tbs, const struct cursor *algorithm,
                               struct crl_der *parts, struct gap *ret_gap)
{
    struct cursor field = enter(tbs);
    (void)next_is(&field, TAG_INTEGER); /* the version, which the first one lacks */
    if (!next_is(&field, TAG_SEQUENCE) || !is_same(&field, algorithm) ||
        !next_is(&field, TAG_SEQUENCE) || !next_is_time(&field)) {
        return not_a_crl;
    }
    (void)next_is_time(&field);
    *ret_gap = (struct gap){field.at, field.at};
    if (next_is(&field, TAG_SEQUENCE)) {
        const char *why = read_list(enter(&field), parts);
        if (why != NULL) {
            return why;
        }
        ret_gap->end = field.at;
    }
    (void)next_is(&field, TAG_EXTENSIONS);
    return is_at_end(&field) ? NULL : not_a_crl;
}

static gnutls_datum_t borrow(const uint8_t *start, const uint8_t *end)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)start, (unsigned)(end - start)};
}

/* Reads the length of the salt from the parameters of an RSA-PSS algorithm; for any other it has no
 * meaning. GnuTLS would have it no longer than the hash, and OpenSSL makes it as long as can be. */
static unsigned read_salt(const struct cursor *algorithm)
{
    struct cursor field = enter(algorithm);
    if (!next_is(&field, TAG_OID) || !next_is(&field, TAG_SEQUENCE)) {
        return SALT_STANDARD;
    }
    struct cursor parameter = enter(&field);
    while (next(&parameter)) {
        struct cursor value = enter(&parameter);
        if (parameter.tag == TAG_SALT && next_is(&value, TAG_INTEGER)) {
            unsigned salt = 0;
            for (size_t i = 0; i < value.len && i < 2; i++) {
                salt = salt << 8 | value.bytes[i];
            }
            return salt;
        }
    }
    return SALT_STANDARD;
}

const char *crl_der_split(const uint8_t *der, size_t len, struct crl_der *ret_parts)
{
    AUTO(crl_der_release) struct crl_der parts = {0};
    struct cursor crl = {.at = der, .end = der + len};
    if (!next_is(&crl, TAG_SEQUENCE) || !is_at_end(&crl)) {
        return not_a_crl;
    }
    struct cursor field = enter(&crl);
    if (!next_is(&field, TAG_SEQUENCE)) {
        return not_a_crl;
    }
    struct cursor tbs = field;
    if (!next_is(&field, TAG_SEQUENCE)) {
        return not_a_crl;
    }
    struct cursor algorithm = field;
    /* The first byte says how many bits of the last are not used. */
    if (!next_is(&field, TAG_BIT_STRING) || !is_at_end(&field) || field.len < 2 ||
        field.bytes[0] != 0) {
        return not_a_crl;
    }
    struct gap gap;
    parts.tbs = borrow(tbs.start, tbs.bytes + tbs.len);
    parts.salt = read_salt(&algorithm);
    parts.signature = borrow(field.bytes + 1, field.bytes + field.len);
    const char *why = read_signed(&tbs, &algorithm, &parts, &gap);
    if (why == NULL) {
        why = make_head(&crl, &tbs, gap, &parts.head);
    }
    if (why == NULL) {
        *ret_parts = parts;
        parts = (struct crl_der){0};
    }
    return why;
}

void crl_der_release(struct crl_der *parts)
{
    free(parts->entries);
    free(parts->head.data);
    *parts = (struct crl_der){0};
}
