#include "config/value_tls.h"

#include "base/list.h"
#include "base/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIN_PREFIX "sha256:"

const char *value_tls_known(const struct config *config, char *text, size_t size)
{
    static const char more[] = "...";
    size_t len = 0;
    snprintf(text, size, "add a [certificate NAME] section");
    /* A name that is refused for its length is told all the same. */
    for (size_t i = 0; i < config->n_certificates && len < size; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s", i == 0 ? "known: " : ", ",
                                config->certificates[i].name);
    }
    if (len >= size) {
        memcpy(text + size - sizeof(more), more, sizeof(more));
    }
    return text;
}

static int read_certificate(const struct value *value, void *field)
{
    char known[256];
    for (size_t i = 0; i < value->config->n_certificates; i++) {
        if (strcmp(value->config->certificates[i].name, value->text) == 0) {
            *(const struct config_certificate **)field = &value->config->certificates[i];
            return 0;
        }
    }
    return value_refuse(value, "there is no such [certificate]; %s",
                        value_tls_known(value->config, known, sizeof(known)));
}

static bool write_certificate(const struct schema_key *key, const void *field, char *text,
                              size_t size)
{
    (void)key;
    const struct config_certificate *certificate = *(const struct config_certificate *const *)field;
    if (certificate == NULL) {
        return false;
    }
    snprintf(text, size, "%s", certificate->name);
    return true;
}

const struct value_type value_tls_certificate = {read_certificate, write_certificate, NULL};

static int read_sni(const struct value *value, void *field)
{
    struct config_service *service = list_item(field, struct config_service, sni);
    struct name name;
    const char *why;
    if (strcmp(value->text, "off") == 0) {
        service->sni = CONFIG_SNI_OFF;
        return 0;
    }
    if (name_from_host(value->text, &name, &why) < 0) {
        return value_refuse(value, "%s", why);
    }
    if (name.kind != NAME_DNS) {
        name_release(&name);
        return value_refuse(value, "SNI carries no IP address; write a name or off");
    }
    if (strcmp(name.text, "off") == 0) {
        name_release(&name);
        return value_refuse(value, "this is no host name; write off, in lower case, to send none");
    }
    service->sni = CONFIG_SNI_NAME;
    service->sni_name = name.text;
    return 0;
}

static bool write_sni(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    const struct config_service *service =
        (const void *)((const char *)field - offsetof(struct config_service, sni));
    snprintf(text, size, "%s", service->sni == CONFIG_SNI_NAME ? service->sni_name : "off");
    return service->sni != CONFIG_SNI_HOST;
}

static void release_sni(void *field)
{
    struct config_service *service = list_item(field, struct config_service, sni);
    free(service->sni_name);
    service->sni_name = NULL;
}

const struct value_type value_tls_sni = {read_sni, write_sni, release_sni};

static int read_verify_name(const struct value *value, void *field)
{
    const char *why;
    if (name_parse(value->text, field, &why) < 0) {
        return value_refuse(value, "%s", why);
    }
    return 0;
}

static bool write_verify_name(const struct schema_key *key, const void *field, char *text,
                              size_t size)
{
    (void)key;
    name_format(field, text, size);
    return true;
}

static void release_verify_name(void *field)
{
    name_release(field);
}

const struct value_type value_tls_verify_name = {read_verify_name, write_verify_name,
                                                 release_verify_name};

static int read_pin(const struct value *value, void *field)
{
    struct config_pin pin = {0};
    const char *base64 = value->text + strlen(PIN_PREFIX);
    if (strncmp(value->text, PIN_PREFIX, strlen(PIN_PREFIX)) != 0 ||
        parse_base64(base64, pin.sha256, sizeof(pin.sha256)) != (int)sizeof(pin.sha256)) {
        return value_refuse(value, "this is no pin; write sha256: and 44 letters of base64, the "
                                   "SHA-256 of the public key");
    }
    *(struct config_pin *)field = pin;
    return 0;
}

/* Writes base64 of 32 bytes: ten full groups, and one of two bytes. */
static bool write_pin(const struct schema_key *key, const void *field, char *text, size_t size)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (void)key;
    const struct config_pin *pin = field;
    char base64[45] = {0};
    for (size_t i = 0, at = 0; i < sizeof(pin->sha256); i += 3) {
        uint32_t bits = 0;
        for (size_t b = 0; b < 3; b++) {
            bits = bits << 8 | (i + b < sizeof(pin->sha256) ? pin->sha256[i + b] : 0);
        }
        for (int shift = 18; shift >= 0; shift -= 6) {
            base64[at++] = alphabet[bits >> shift & 63];
        }
    }
    base64[43] = '=';
    snprintf(text, size, PIN_PREFIX "%s", base64);
    return true;
}

const struct value_type value_tls_pin = {read_pin, write_pin, NULL};

static int read_alpn(const struct value *value, void *field)
{
    size_t len = strlen(value->text);
    if (len < value->key->min || len > value->key->max) {
        return value_refuse(value, "a protocol's name has %u to %u bytes; shorten it",
                            (unsigned)value->key->min, (unsigned)value->key->max);
    }
    char *copy = strdup(value->text);
    if (copy == NULL) {
        return value_refuse(value, "out of memory; free some");
    }
    *(char **)field = copy;
    return 0;
}

static bool write_string(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    const char *string = *(char *const *)field;
    if (string == NULL) {
        return false;
    }
    snprintf(text, size, "%s", string);
    return true;
}

static void release_string(void *field)
{
    free(*(char **)field);
    *(char **)field = NULL;
}

const struct value_type value_tls_alpn = {read_alpn, write_string, release_string};

static int read_priority(const struct value *value, void *field)
{
    struct config_service *service = list_item(field, struct config_service, priority);
    service->priority = strdup(value->text);
    service->priority_place = value->place;
    return service->priority != NULL ? 0 : value_refuse(value, "out of memory; free some");
}

const struct value_type value_tls_priority = {read_priority, write_string, release_string};
