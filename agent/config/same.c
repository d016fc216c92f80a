#include "config/same.h"

#include "config/schema.h"
#include "config/value.h"

#include <string.h>

/* Compares two values, of a list two items, by what is written for them. value_at() has one form
 * for readers and writers. */
static bool is_same_text(const struct schema_key *key, const void *a, const void *b)
{
    char text_a[VALUE_TEXT_MAX], text_b[VALUE_TEXT_MAX];
    bool has_a = key->type->write(key, a, text_a, sizeof(text_a));
    bool has_b = key->type->write(key, b, text_b, sizeof(text_b));
    return has_a == has_b && (!has_a || strcmp(text_a, text_b) == 0);
}

static bool is_same_value(const struct schema_key *key, const void *a, const void *b)
{
    size_t n = value_count(key, a);
    bool is_same = n == value_count(key, b);
    for (size_t i = 0; i < n && is_same; i++) {
        is_same = is_same_text(key, value_at(key, (void *)a, i), value_at(key, (void *)b, i));
    }
    return is_same;
}

/* Compares the structs of a kind key by key. */
static bool is_same_target(enum schema_kind kind, const void *a, const void *b)
{
    size_t n;
    const struct schema_key *keys = schema_keys(&n);
    bool is_same = true;
    for (size_t i = 0; i < n && is_same; i++) {
        is_same = !schema_belongs(&keys[i], kind) || is_same_value(&keys[i], a, b);
    }
    return is_same;
}

bool same_service(const struct config_service *a, const struct config_service *b)
{
    return is_same_target(SCHEMA_SERVICE, a, b);
}

bool same_addresses(const struct config_service *a, const struct config_service *b)
{
    return is_same_value(schema_find(SCHEMA_SERVICE, "address"), a, b);
}

bool same_certificate(const struct config_certificate *a, const struct config_certificate *b)
{
    return is_same_target(SCHEMA_CERTIFICATE, a, b);
}
