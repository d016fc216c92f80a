#include "config/section.h"

#include "config/ini.h"
#include "config/quote.h"
#include "config/suggest.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_LEN 64

static const char blanks[] = " \t";

/* One file being read. */
struct reading {
    const char *file;
    struct draft *draft;
    struct problems *problems;
    struct draft_section *section; /* NULL: before the first, or in one that is not known */
    bool has_section;              /* a header was seen, known or not */
    bool is_out_of_memory;
};

static struct place place_of(const struct reading *reading, unsigned line)
{
    return (struct place){reading->file, line};
}

/* "did you mean nearest?", or nothing when nothing was near. */
static const char *did_you_mean(const struct suggest *suggest, char *text, size_t size)
{
    text[0] = '\0';
    if (suggest->nearest != NULL) {
        snprintf(text, size, "did you mean %s?", suggest->nearest);
    }
    return text;
}

static void refuse_kind(struct reading *reading, struct place place, const char *word)
{
    char quoted[QUOTE_MAX], hint[128];
    struct suggest suggest = suggest_begin(word);
    for (int kind = 0; kind < SCHEMA_KINDS; kind++) {
        suggest_offer(&suggest, schema_kind_word((enum schema_kind)kind));
    }
    did_you_mean(&suggest, hint, sizeof(hint));
    problems_error(reading->problems, place, "unknown section %s; %s", quote_text(word, quoted),
                   *hint != '\0' ? hint
                                 : "there are [agent], [certificate NAME], [defaults] and "
                                   "[service NAME]");
}

/* Notes what is wrong with the name of a section, if anything. */
static void check_name(struct reading *reading, struct place place, enum schema_kind kind,
                       const char *name)
{
    char quoted[QUOTE_MAX];
    const char *word = schema_kind_word(kind);
    size_t len = strlen(name);
    if (!schema_kind_is_named(kind)) {
        if (len > 0) {
            problems_error(reading->problems, place, "[%s] takes no name; remove %s", word,
                           quote_text(name, quoted));
        }
        return;
    }
    if (len == 0) {
        problems_error(reading->problems, place, "the %s has no name; write [%s NAME]", word, word);
    } else if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") < len) {
        problems_error(reading->problems, place,
                       "the name %s of the %s is bad; use lowercase letters, digits and hyphens",
                       quote_text(name, quoted), word);
    } else if (len > NAME_MAX_LEN) {
        problems_error(reading->problems, place,
                       "the name %s of the %s has %zu characters; use %d at most",
                       quote_text(name, quoted), word, len, NAME_MAX_LEN);
    }
}

/* Finds the [agent] or [defaults] that is there already. [agent] may stand once in each file, so
 * that an included file can include more; [defaults] once in all. */
static struct draft_section *reopen(struct reading *reading, enum schema_kind kind,
                                    struct place place)
{
    struct draft_section *section =
        schema_kind_is_named(kind) ? NULL : draft_find(reading->draft, kind);
    if (section == NULL) {
        return NULL;
    }
    if (kind != SCHEMA_AGENT || section->place.file == place.file) {
        problems_error(reading->problems, place,
                       "there is a second [%s]; join it with the one at %s:%u",
                       schema_kind_word(kind), section->place.file, section->place.line);
    }
    section->place = place;
    return section;
}

static void on_section(void *ctx, unsigned line, const char *header)
{
    struct reading *reading = ctx;
    struct place place = place_of(reading, line);
    enum schema_kind kind;
    char word[256];
    size_t len = strcspn(header, blanks);
    const char *name = header + len + strspn(header + len, blanks);
    snprintf(word, sizeof(word), "%.*s", (int)len, header);

    reading->has_section = true;
    reading->section = NULL;
    if (schema_find_kind(word, &kind) < 0) {
        refuse_kind(reading, place, word);
        return;
    }
    check_name(reading, place, kind, name);
    reading->section = reopen(reading, kind, place);
    if (reading->section == NULL) {
        reading->section = draft_add_section(reading->draft, kind, name, place);
        reading->is_out_of_memory |= reading->section == NULL;
    }
}

static void refuse_key(struct reading *reading, struct place place, const char *name)
{
    char quoted[QUOTE_MAX], hint[128];
    enum schema_kind kind = reading->section->kind;
    struct suggest suggest = suggest_begin(name);
    size_t n;
    const struct schema_key *keys = schema_keys(&n);
    quote_text(name, quoted);
    for (size_t i = 0; i < n; i++) {
        if (schema_belongs(&keys[i], kind)) {
            suggest_offer(&suggest, keys[i].name);
        } else if (strcmp(keys[i].name, name) == 0) {
            problems_error(reading->problems, place, "%s is no key of [%s]; move it to [%s]",
                           quoted, schema_kind_word(kind), schema_kind_word(keys[i].kind));
            return;
        }
    }
    did_you_mean(&suggest, hint, sizeof(hint));
    problems_error(reading->problems, place, "unknown key %s in [%s]; %s", quoted,
                   schema_kind_word(kind), *hint != '\0' ? hint : "see mtls-agent.conf(5)");
}

/* Adds one value, or one item of a list. */
static void add_entry(struct reading *reading, const struct schema_key *key, const char *text,
                      size_t len, struct place place)
{
    if (len == 0) {
        problems_error(reading->problems, place, "%s has %s; write one or remove %s", key->name,
                       key->is_list ? "an empty value" : "no value",
                       key->is_list ? "the comma or the line" : "the line");
    } else if (*text == ';') {
        /* inih leaves it when no blank stands before it; the dump would lose it. */
        problems_error(reading->problems, place,
                       "the value of %s begins with ; as a comment does; write another", key->name);
    } else if (draft_add_entry(reading->section, key, text, len, place) < 0) {
        reading->is_out_of_memory = true;
    }
}

/* Adds the items of a list. */
static void add_list(struct reading *reading, const struct schema_key *key, const char *text,
                     struct place place)
{
    for (;;) {
        text += strspn(text, blanks);
        size_t len = strcspn(text, ",");
        const char *comma = text + len;
        while (len > 0 && strchr(blanks, text[len - 1]) != NULL) {
            len--;
        }
        add_entry(reading, key, text, len, place);
        if (*comma == '\0') {
            return;
        }
        text = comma + 1;
    }
}

static void on_key(void *ctx, unsigned line, const char *name, const char *text)
{
    struct reading *reading = ctx;
    struct place place = place_of(reading, line);
    if (reading->section == NULL) {
        if (!reading->has_section) {
            problems_error(reading->problems, place,
                           "a key stands before the first section; put a [section] above it");
        }
        return;
    }
    const struct schema_key *key = schema_find(reading->section->kind, name);
    if (key == NULL) {
        refuse_key(reading, place, name);
        return;
    }
    if (key->type == NULL) {
        problems_error(reading->problems, place,
                       "%s is not available in this version; remove the line", key->name);
        return;
    }
    const struct draft_entry *first = draft_find_entry(reading->section, key);
    if (key->is_list) {
        add_list(reading, key, text, place);
    } else if (first != NULL) {
        problems_error(reading->problems, place, "%s is set twice; remove one, first set at %s:%u",
                       key->name, first->place.file, first->place.line);
    } else {
        add_entry(reading, key, text, strlen(text), place);
    }
}

static void on_bad(void *ctx, unsigned line, const char *why)
{
    struct reading *reading = ctx;
    problems_error(reading->problems, place_of(reading, line), "%s", why);
}

int section_read(const char *file, const char *text, size_t len, struct draft *draft,
                 struct problems *problems)
{
    struct reading reading = {.file = file, .draft = draft, .problems = problems};
    const struct ini_events events = {&reading, on_section, on_key, on_bad};
    ini_walk(text, len, &events);
    return reading.is_out_of_memory ? -1 : 0;
}
