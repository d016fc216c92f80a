#include "config/draft.h"

#include <stdlib.h>
#include <string.h>

/* Frees a section and its entries. */
static void free_section(struct draft_section *section)
{
    for (size_t i = 0; i < section->n_entries; i++) {
        free(section->entries[i].text);
    }
    free(section->entries);
    free(section->name);
    free(section);
}

struct draft_section *draft_add_section(struct draft *draft, enum schema_kind kind,
                                        const char *name, struct place place)
{
    struct draft_section **sections =
        reallocarray(draft->sections, draft->n_sections + 1, sizeof(struct draft_section *));
    if (sections == NULL) {
        return NULL;
    }
    draft->sections = sections;
    struct draft_section *section = calloc(1, sizeof(*section));
    if (section == NULL) {
        return NULL;
    }
    *section = (struct draft_section){.kind = kind, .name = strdup(name), .place = place};
    if (section->name == NULL) {
        free_section(section);
        return NULL;
    }
    sections[draft->n_sections++] = section;
    return section;
}

int draft_add_entry(struct draft_section *section, const struct schema_key *key, const char *text,
                    size_t len, struct place place)
{
    struct draft_entry *entries =
        reallocarray(section->entries, section->n_entries + 1, sizeof(*entries));
    if (entries == NULL) {
        return -1;
    }
    section->entries = entries;
    char *copy = strndup(text, len);
    if (copy == NULL) {
        return -1;
    }
    entries[section->n_entries++] = (struct draft_entry){key, copy, place};
    return 0;
}

struct draft_section *draft_find(const struct draft *draft, enum schema_kind kind)
{
    for (size_t i = 0; i < draft->n_sections; i++) {
        if (draft->sections[i]->kind == kind) {
            return draft->sections[i];
        }
    }
    return NULL;
}

const struct draft_entry *draft_find_entry(const struct draft_section *section,
                                           const struct schema_key *key)
{
    for (size_t i = 0; section != NULL && i < section->n_entries; i++) {
        if (section->entries[i].key == key) {
            return &section->entries[i];
        }
    }
    return NULL;
}

void draft_release(struct draft *draft)
{
    for (size_t i = 0; i < draft->n_sections; i++) {
        free_section(draft->sections[i]);
    }
    free(draft->sections);
    *draft = (struct draft){0};
}
