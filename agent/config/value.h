/* Values: text to typed fields and back. */
#pragma once

#include "base/problems.h"
#include "config/config.h"
#include "config/schema.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enough for any value's text. */
#define VALUE_TEXT_MAX (PATH_MAX + 256)

/* A text to be read. */
struct value {
    const struct schema_key *key;
    const char *text; /* not empty */
    struct place place;
    const struct config *config; /* whose certificates are complete */
    struct problems *problems;
};

/* What can be done with the values of one type. `field` is the place in the configuration; of a
 * list, one item. */
struct value_type {
    /* Fills the field, zeroed before. Returns -1 after noting why not, the field then unchanged. */
    int (*read)(const struct value *value, void *field);
    /* Writes the text that reads back to the same. Returns false when there is no value. */
    bool (*write)(const struct schema_key *key, const void *field, char *text, size_t size);
    void (*release)(void *field); /* NULL: owns nothing */
};

extern const struct value_type value_bool;
extern const struct value_type value_number;   /* or one of the key's words */
extern const struct value_type value_workers;  /* the same, and where it stands */
extern const struct value_type value_duration; /* or one of the key's words */
extern const struct value_type value_word;
extern const struct value_type value_file;
extern const struct value_type value_include; /* the reader follows it; nothing is kept */

/* Notes `KEY = "TEXT": ` and the clause, what is wrong and what to do. Returns -1. */
int value_refuse(const struct value *value, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Notes that `what` belongs to a later version. Returns -1. */
int value_unavailable(const struct value *value, const char *what);

/* Unsigned integers and enums of any size. */
void value_put(const struct schema_key *key, void *field, uint64_t number);
uint64_t value_get(const struct schema_key *key, const void *field);

/* Reads a value and puts it where it belongs in `target`, the struct of the key's kind; appends it,
 * when the key is a list. Returns as value_type.read(). */
int value_read(const struct value *value, void *target);

/* The number of values that `target` has for the key, and one of them. */
size_t value_count(const struct schema_key *key, const void *target);
void *value_at(const struct schema_key *key, void *target, size_t i);

/* Frees what `target` owns for the key. */
void value_release(const struct schema_key *key, void *target);
