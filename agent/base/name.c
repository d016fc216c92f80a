#include "base/name.h"

#include "base/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABEL_MAX 63
#define DNS_MAX   253

static const char out_of_memory[] = "out of memory; free some and try again";

/* What is wrong with a byte of a host name, or NULL. */
static const char *byte_fault(unsigned char byte)
{
    if (byte >= 0x80) {
        return "a host name is ASCII; write an international name in its xn-- form";
    }
    if (isalnum(byte) || byte == '-' || byte == '_' || byte == '.') {
        return NULL;
    }
    switch (byte) {
    case '*':
        return "a wildcard is not a name; write the full name";
    case '/':
        return "this looks like a URL or a path; write the host name alone";
    case '@':
        return "a host name has no user part; write what follows the @ alone";
    case ':':
        return "a host name has no colon; write the name alone, or an IPv6 address in brackets";
    default:
        return "a host name has letters, digits, hyphens and dots only; remove the rest";
    }
}

/* What is wrong with a name of `len` bytes that has no trailing dot, or NULL. */
static const char *dns_fault(const char *text, size_t len)
{
    static const char no_empty_labels[] =
        "a host name has no empty labels; write single dots between its parts";
    size_t label = 0;
    if (len == 0) {
        return "the host name is missing; write it";
    }
    for (size_t i = 0; i < len; i++) {
        const char *fault = byte_fault((unsigned char)text[i]);
        if (fault != NULL) {
            return fault;
        }
        bool is_dot = text[i] == '.';
        if (is_dot && label == 0) {
            return no_empty_labels;
        }
        label = is_dot ? 0 : label + 1;
        if (label > LABEL_MAX) {
            return "a part of a host name has 63 characters at most; check the name";
        }
    }
    if (label == 0) {
        return no_empty_labels;
    }
    if (len > DNS_MAX) {
        return "a host name has 253 characters at most; check the name";
    }
    return strspn(text + len - label, "0123456789") >= label
               ? "the last part is a number, yet this is no IPv4 address; check it"
               : NULL;
}

char *name_normalise_dns(const char *text, const char **ret_why)
{
    size_t len = strlen(text);
    if (len > 1 && text[len - 1] == '.') {
        len--;
    }
    const char *fault = dns_fault(text, len);
    if (fault != NULL) {
        *ret_why = fault;
        return NULL;
    }
    char *name = strndup(text, len);
    if (name == NULL) {
        *ret_why = out_of_memory;
        return NULL;
    }
    for (char *at = name; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    return name;
}

/* Makes a NAME_DNS. */
static int from_dns(const char *text, struct name *ret_name, const char **ret_why)
{
    char *normal = name_normalise_dns(text, ret_why);
    if (normal == NULL) {
        return -1;
    }
    *ret_name = (struct name){.kind = NAME_DNS, .text = normal};
    return 0;
}

/* Makes a NAME_IP. */
static int from_ip(const char *text, struct name *ret_name, const char **ret_why)
{
    struct name name = {.kind = NAME_IP};
    char normal[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET, text, name.ip) == 1) {
        name.ip_len = 4;
    } else if (inet_pton(AF_INET6, text, name.ip) == 1) {
        name.ip_len = 16;
    } else {
        *ret_why = "this is no IP address; write one as in 192.0.2.1 or 2001:db8::1";
        return -1;
    }
    inet_ntop(name.ip_len == 4 ? AF_INET : AF_INET6, name.ip, normal, sizeof(normal));
    name.text = strdup(normal);
    if (name.text == NULL) {
        *ret_why = out_of_memory;
        return -1;
    }
    *ret_name = name;
    return 0;
}

/* What is wrong with a URI, or NULL: RFC 3986 section 3.1 for the scheme, visible ASCII for the
 * rest. */
static const char *uri_fault(const char *text)
{
    const char *colon = strchr(text, ':');
    if (!isalpha((unsigned char)text[0]) || colon == NULL || colon[1] == '\0') {
        return "this is no URI; write it in full, as in uri:spiffe://example.org/orders";
    }
    for (const char *at = text; at < colon; at++) {
        if (!isalnum((unsigned char)*at) && strchr("+-.", *at) == NULL) {
            return "the scheme of the URI is bad; write it as in uri:spiffe://example.org/orders";
        }
    }
    for (const char *at = colon; *at != '\0'; at++) {
        if (!isgraph((unsigned char)*at)) {
            return "a URI is visible ASCII without blanks; percent-encode the rest";
        }
    }
    if (strncmp(text, "spiffe://", 9) == 0 && (text[9] == '\0' || text[9] == '/')) {
        return "the trust domain is missing; write it as in uri:spiffe://example.org/orders";
    }
    return NULL;
}

/* Makes a NAME_URI. */
static int from_uri(const char *text, struct name *ret_name, const char **ret_why)
{
    const char *fault = uri_fault(text);
    if (fault != NULL) {
        *ret_why = fault;
        return -1;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        *ret_why = out_of_memory;
        return -1;
    }
    *ret_name = (struct name){.kind = NAME_URI, .text = copy};
    return 0;
}

/* True for an IP literal. */
static bool is_ip(const char *text)
{
    struct addr ignored;
    return addr_parse_ip(text, 0, &ignored) == 0;
}

int name_parse(const char *text, struct name *ret_name, const char **ret_why)
{
    if (strncasecmp(text, "uri:", 4) == 0) {
        return from_uri(text + 4, ret_name, ret_why);
    }
    if (strncasecmp(text, "ip:", 3) == 0) {
        return from_ip(text + 3, ret_name, ret_why);
    }
    if (strncasecmp(text, "dns:", 4) != 0) {
        return name_from_host(text, ret_name, ret_why);
    }
    if (is_ip(text + 4)) {
        *ret_why = "an IP address is no DNS name; write ip: before it";
        return -1;
    }
    return from_dns(text + 4, ret_name, ret_why);
}

int name_from_host(const char *host, struct name *ret_name, const char **ret_why)
{
    return is_ip(host) ? from_ip(host, ret_name, ret_why) : from_dns(host, ret_name, ret_why);
}

const char *name_format(const struct name *name, char *text, size_t size)
{
    static const char *const prefixes[] = {
        [NAME_DNS] = "dns:", [NAME_IP] = "ip:", [NAME_URI] = "uri:"};
    snprintf(text, size, "%s%s", prefixes[name->kind], name->text);
    return text;
}

bool name_equal(const struct name *a, const struct name *b)
{
    return a->kind == b->kind && strcmp(a->text, b->text) == 0;
}

int name_copy(const struct name *name, struct name *ret_copy)
{
    *ret_copy = *name;
    ret_copy->text = strdup(name->text);
    return ret_copy->text != NULL ? 0 : -1;
}

void name_release(struct name *name)
{
    free(name->text);
    *name = (struct name){0};
}
