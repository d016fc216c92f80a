#include "config/dump.h"

#include "config/value.h"

/* Prints the keys of one section. The field of a configuration is only read, but value_at() has one
 * form for readers and writers. */
static void print_keys(enum schema_kind kind, const void *target, FILE *out)
{
    char text[VALUE_TEXT_MAX];
    size_t n;
    const struct schema_key *keys = schema_keys(&n);
    for (size_t i = 0; i < n; i++) {
        const struct schema_key *key = &keys[i];
        size_t values = schema_belongs(key, kind) ? value_count(key, target) : 0;
        for (size_t v = 0; v < values; v++) {
            if (key->type->write(key, value_at(key, (void *)target, v), text, sizeof(text))) {
                fprintf(out, "%s = %s\n", key->name, text);
            }
        }
    }
}

void dump_config(const struct config *config, FILE *out)
{
    fprintf(out, "[%s]\n", schema_kind_word(SCHEMA_AGENT));
    print_keys(SCHEMA_AGENT, &config->agent, out);
    for (size_t i = 0; i < config->n_certificates; i++) {
        fprintf(out, "\n[%s %s]\n", schema_kind_word(SCHEMA_CERTIFICATE),
                config->certificates[i].name);
        print_keys(SCHEMA_CERTIFICATE, &config->certificates[i], out);
    }
    for (size_t i = 0; i < config->n_services; i++) {
        fprintf(out, "\n[%s %s]\n", schema_kind_word(SCHEMA_SERVICE), config->services[i].name);
        print_keys(SCHEMA_SERVICE, &config->services[i], out);
    }
}
