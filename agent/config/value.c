#include "config/value.h"

#include "base/cleanup.h"
#include "base/list.h"
#include "base/parse.h"
#include "config/path.h"
#include "config/quote.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Most values of a list that has no limit of its own. */
#define LIST_MAX 10000

int value_refuse(const struct value *value, const char *format, ...)
{
    char quoted[QUOTE_MAX], clause[512];
    va_list args;
    va_start(args, format);
    vsnprintf(clause, sizeof(clause), format, args);
    va_end(args);
    /* "5s # a comment" is read as a whole; say so. */
    bool is_commented = strstr(value->text, " #") != NULL;
    problems_error(value->problems, value->place, "%s = %s: %s%s", value->key->name,
                   quote_text(value->text, quoted), clause,
                   is_commented ? " (a comment after a value begins with ;)" : "");
    return -1;
}

int value_unavailable(const struct value *value, const char *what)
{
    return value_refuse(value, "%s is not available in this version; remove it", what);
}

void value_put(const struct schema_key *key, void *field, uint64_t number)
{
    uint8_t byte = (uint8_t)number;
    uint32_t word = (uint32_t)number;
    switch (key->field.size) {
    case sizeof(byte):
        memcpy(field, &byte, sizeof(byte));
        break;
    case sizeof(word):
        memcpy(field, &word, sizeof(word));
        break;
    default:
        memcpy(field, &number, sizeof(number));
        break;
    }
}

uint64_t value_get(const struct schema_key *key, const void *field)
{
    uint8_t byte;
    uint32_t word;
    uint64_t number;
    switch (key->field.size) {
    case sizeof(byte):
        memcpy(&byte, field, sizeof(byte));
        return byte;
    case sizeof(word):
        memcpy(&word, field, sizeof(word));
        return word;
    default:
        memcpy(&number, field, sizeof(number));
        return number;
    }
}

/* The word that `text` is, or NULL. */
static const struct schema_word *find_word(const struct schema_key *key, const char *text)
{
    const struct schema_word *word = key->words;
    while (word != NULL && word->text != NULL && strcmp(word->text, text) != 0) {
        word++;
    }
    return word != NULL && word->text != NULL ? word : NULL;
}

/* Lists the words that may be used: "a, b or c". */
static const char *list_words(const struct schema_key *key, char *text, size_t size)
{
    size_t len = 0, left = 0;
    text[0] = '\0';
    for (const struct schema_word *word = key->words; word != NULL && word->text != NULL; word++) {
        left += word->unavailable ? 0 : 1;
    }
    for (const struct schema_word *word = key->words; left > 0; word++) {
        if (!word->unavailable) {
            left--;
            const char *joint = left == 0 ? "" : left == 1 ? " or " : ", ";
            len += (size_t)snprintf(text + len, size - len, "%s%s", word->text, joint);
        }
    }
    return text;
}

static bool write_word(const struct schema_key *key, const void *field, char *text, size_t size)
{
    uint64_t number = value_get(key, field);
    for (const struct schema_word *word = key->words; word != NULL && word->text != NULL; word++) {
        if (word->value == number && !word->unavailable) {
            snprintf(text, size, "%s", word->text);
            return true;
        }
    }
    return false;
}

static int read_word(const struct value *value, void *field)
{
    char words[128];
    const struct schema_word *word = find_word(value->key, value->text);
    if (word == NULL) {
        return value_refuse(value, "this is not a known word; write %s",
                            list_words(value->key, words, sizeof(words)));
    }
    if (word->unavailable) {
        return value_unavailable(value, word->text);
    }
    value_put(value->key, field, word->value);
    return 0;
}

const struct value_type value_word = {read_word, write_word, NULL};

static int read_bool(const struct value *value, void *field)
{
    bool is_on;
    if (parse_bool(value->text, &is_on) < 0) {
        return value_refuse(value, "this is neither yes nor no; write one of them");
    }
    value_put(value->key, field, is_on);
    return 0;
}

static bool write_bool(const struct schema_key *key, const void *field, char *text, size_t size)
{
    snprintf(text, size, "%s", value_get(key, field) != 0 ? "yes" : "no");
    return true;
}

const struct value_type value_bool = {read_bool, write_bool, NULL};

/* ", or auto" for a key that takes words besides numbers. */
static const char *or_words(const struct schema_key *key, char *text, size_t size)
{
    char words[64];
    snprintf(text, size, "%s%s", key->words != NULL ? ", or " : "",
             list_words(key, words, sizeof(words)));
    return text;
}

static int read_number(const struct value *value, void *field)
{
    const struct schema_key *key = value->key;
    const struct schema_word *word = find_word(key, value->text);
    uint64_t number = word != NULL ? word->value : 0;
    char words[80];
    if (word == NULL && parse_number(value->text, key->min, key->max, &number) < 0) {
        return value_refuse(value,
                            "this is not a number in range; write one from %" PRIu64 " to %" PRIu64
                            "%s",
                            key->min, key->max, or_words(key, words, sizeof(words)));
    }
    value_put(key, field, number);
    return 0;
}

static bool write_number(const struct schema_key *key, const void *field, char *text, size_t size)
{
    if (!write_word(key, field, text, size)) {
        snprintf(text, size, "%" PRIu64, value_get(key, field));
    }
    return true;
}

const struct value_type value_number = {read_number, write_number, NULL};

static int read_workers(const struct value *value, void *field)
{
    struct config_agent *agent = list_item(field, struct config_agent, workers);
    agent->workers_place = value->place;
    return read_number(value, field);
}

const struct value_type value_workers = {read_workers, write_number, NULL};

/* Writes a duration in the largest unit that loses nothing. */
static const char *format_duration(uint64_t ms, char *text, size_t size)
{
    static const struct {
        const char *word;
        uint64_t factor;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    while (ms % units[i].factor != 0) {
        i++;
    }
    snprintf(text, size, "%" PRIu64 "%s", ms / units[i].factor, units[i].word);
    return text;
}

static int read_duration(const struct value *value, void *field)
{
    const struct schema_key *key = value->key;
    const struct schema_word *word = find_word(key, value->text);
    uint64_t ms = word != NULL ? word->value : 0;
    char least[32], most[32], words[80];
    bool is_duration = word == NULL && parse_duration(value->text, &ms) == 0;
    if (word == NULL && (!is_duration || ms < key->min || ms > key->max)) {
        return value_refuse(value, "this is not a %s; write %s to %s with its unit, as in %s30s%s",
                            is_duration ? "duration in range" : "duration",
                            format_duration(key->min, least, sizeof(least)),
                            format_duration(key->max, most, sizeof(most)),
                            key->min <= 500 ? "500ms or " : "",
                            or_words(key, words, sizeof(words)));
    }
    value_put(key, field, ms);
    return 0;
}

static bool write_duration(const struct schema_key *key, const void *field, char *text, size_t size)
{
    if (!write_word(key, field, text, size)) {
        format_duration(value_get(key, field), text, size);
    }
    return true;
}

const struct value_type value_duration = {read_duration, write_duration, NULL};

static int read_file(const struct value *value, void *field)
{
    static const char *const later[] = {"pkcs11:", "tpmkey:"};
    const char *why;
    for (size_t i = 0; i < 2; i++) {
        if (strncmp(value->text, later[i], strlen(later[i])) == 0) {
            return value_unavailable(value, later[i]);
        }
    }
    bool is_word = find_word(value->key, value->text) != NULL;
    char *path =
        is_word ? strdup(value->text) : path_absolute(value->place.file, value->text, &why);
    if (path == NULL) {
        return value_refuse(value, "%s", is_word ? "out of memory; free some" : why);
    }
    struct config_file *file = field;
    *file = (struct config_file){.path = path, .place = value->place};
    return 0;
}

static bool write_file(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    const struct config_file *file = field;
    if (file->path == NULL) {
        return false;
    }
    snprintf(text, size, "%s", file->path);
    return true;
}

static void release_file(void *field)
{
    struct config_file *file = field;
    free(file->path);
    *file = (struct config_file){0};
}

const struct value_type value_file = {read_file, write_file, release_file};

static int read_include(const struct value *value, void *field)
{
    (void)value;
    (void)field;
    return 0;
}

const struct value_type value_include = {read_include, NULL, NULL};

/* Makes a zeroed item at the end of a list, which is not counted yet. NULL when memory is out. */
static void *make_item(const struct schema_key *key, void *target, size_t n)
{
    char *field = (char *)target + key->field.offset;
    void *items;
    memcpy(&items, field, sizeof(items));
    void *grown = reallocarray(items, n + 1, key->field.size);
    if (grown == NULL) {
        return NULL;
    }
    memcpy(field, &grown, sizeof(grown));
    return memset((char *)grown + n * key->field.size, 0, key->field.size);
}

static int read_item(const struct value *value, void *target)
{
    size_t n = value_count(value->key, target);
    size_t max = value->key->max_items > 0 ? value->key->max_items : LIST_MAX;
    if (n >= max) {
        return value_refuse(value, "the list takes %zu values at most; remove some", max);
    }
    void *item = make_item(value->key, target, n);
    if (item == NULL) {
        return value_refuse(value, "out of memory; free some");
    }
    if (value->key->type->read(value, item) < 0) {
        return -1;
    }
    n++;
    memcpy((char *)target + value->key->field.count, &n, sizeof(n));
    return 0;
}

int value_read(const struct value *value, void *target)
{
    const struct schema_key *key = value->key;
    if (key->is_list && key->field.size > 0) {
        return read_item(value, target);
    }
    return key->type->read(value, (char *)target + key->field.offset);
}

size_t value_count(const struct schema_key *key, const void *target)
{
    size_t n = 1;
    if (key->type == NULL || key->field.size == 0) {
        return 0;
    }
    if (key->is_list) {
        memcpy(&n, (const char *)target + key->field.count, sizeof(n));
    }
    return n;
}

void *value_at(const struct schema_key *key, void *target, size_t i)
{
    char *field = (char *)target + key->field.offset;
    if (!key->is_list) {
        return field;
    }
    void *items;
    memcpy(&items, field, sizeof(items));
    return items != NULL ? (char *)items + i * key->field.size : NULL;
}

void value_release(const struct schema_key *key, void *target)
{
    size_t n = value_count(key, target);
    for (size_t i = 0; i < n && key->type->release != NULL; i++) {
        key->type->release(value_at(key, target, i));
    }
    if (key->is_list && key->field.size > 0) {
        free(value_at(key, target, 0));
    }
}
