/* What the files say, section by section, before it means anything: known keys with their texts. */
#pragma once

#include "base/problems.h"
#include "config/schema.h"

#include <stdbool.h>
#include <stddef.h>

/* One value: of a list, one item. */
struct draft_entry {
    const struct schema_key *key;
    char *text;
    struct place place;
};

struct draft_section {
    enum schema_kind kind;
    char *name; /* "" when the kind has none */
    struct place place;
    struct draft_entry *entries;
    size_t n_entries;
};

struct draft {
    struct draft_section **sections;
    size_t n_sections;
};

/* Adds a section. Returns NULL when memory is out. */
struct draft_section *draft_add_section(struct draft *draft, enum schema_kind kind,
                                        const char *name, struct place place);

/* Adds one value of `len` bytes. Returns -1 when memory is out. */
int draft_add_entry(struct draft_section *section, const struct schema_key *key, const char *text,
                    size_t len, struct place place);

/* The first section of that kind, for those that have no name; NULL when there is none. */
struct draft_section *draft_find(const struct draft *draft, enum schema_kind kind);

/* The first entry for the key; NULL when there is none. `section` may be NULL. */
const struct draft_entry *draft_find_entry(const struct draft_section *section,
                                           const struct schema_key *key);

/* Frees what the draft owns. */
void draft_release(struct draft *draft);
