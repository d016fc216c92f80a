/* Every section and key of the configuration, declared once. Reading, messages and the dump follow
 * this table; the manual is tested against it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct value_type;

/* [defaults] has no keys of its own: it takes those of a service. */
enum schema_kind { SCHEMA_AGENT, SCHEMA_CERTIFICATE, SCHEMA_SERVICE, SCHEMA_DEFAULTS };
#define SCHEMA_KINDS (SCHEMA_DEFAULTS + 1)

/* A word that a key takes, and what it stands for. */
struct schema_word {
    const char *text;
    uint64_t value;
    bool unavailable; /* not built yet */
};

/* Where a value is kept in the kind's struct. */
struct schema_field {
    size_t offset;
    size_t size;
    size_t count; /* of a list: the offset of its size_t */
};

struct schema_key {
    enum schema_kind kind;
    const char *name;
    const struct value_type *type; /* NULL: not built yet, refused whatever the value */
    struct schema_field field;     /* size 0: not kept */
    const char *standard;          /* the default as text; NULL: none */
    uint64_t min, max;
    const struct schema_word *words; /* the last one has no text; NULL: none */
    bool is_list;                    /* repeated, or separated by commas */
    size_t max_items;                /* of a list; 0: many */
    bool is_required;
    const char *example; /* of a required key */
    const char *help;    /* one line */
};

/* The word between the brackets, for example "service". */
const char *schema_kind_word(enum schema_kind kind);

/* True for sections that have a name after that word. */
bool schema_kind_is_named(enum schema_kind kind);

/* Finds the kind by its word. Returns -1 when there is none. */
int schema_find_kind(const char *word, enum schema_kind *ret_kind);

/* All keys, in the order in which they are dumped. */
const struct schema_key *schema_keys(size_t *ret_n);

/* The key of that name in a section of that kind; NULL when there is none. */
const struct schema_key *schema_find(enum schema_kind kind, const char *name);

/* True when the key may stand in a section of that kind. */
bool schema_belongs(const struct schema_key *key, enum schema_kind kind);
