/* A name that a certificate may carry: the reference identifier of RFC 6125 section 6.2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum name_kind { NAME_DNS, NAME_IP, NAME_URI };

struct name {
    enum name_kind kind;
    char *text;     /* normalised; owned */
    uint8_t ip[16]; /* NAME_IP: the address in network order */
    uint8_t ip_len; /* NAME_IP: 4 or 16 */
};

/* Normalises a DNS host name: lower case, no trailing dot. Labels are letters, digits, hyphens and
 * underscores, 63 characters at most, 253 in all. Returns a new string, or NULL with a clause in
 * `*ret_why` (a constant) that says what is wrong and what to do, for example about an IDN. */
char *name_normalise_dns(const char *text, const char **ret_why);

/* Reads "dns:NAME", "ip:ADDRESS" or "uri:URI"; without a prefix an IP literal is an ip and all else
 * a dns name. On success the caller owns `*ret_name` (name_release). Returns -1 with `*ret_why` as
 * above. */
int name_parse(const char *text, struct name *ret_name, const char **ret_why);

/* Makes the name that a host in `address` or `sni` stands for: NAME_IP for a literal, else
 * NAME_DNS. Returns as name_parse(). */
int name_from_host(const char *host, struct name *ret_name, const char **ret_why);

/* True when both are the same name, of the same kind. */
bool name_equal(const struct name *a, const struct name *b);

/* Writes "dns:api.example.com" and the like into `text`, cut to `size`. Returns `text`. */
const char *name_format(const struct name *name, char *text, size_t size);

/* Copies a name. The caller owns the copy (name_release), which is empty on failure. Returns -1
 * when memory is out. */
int name_copy(const struct name *name, struct name *ret_copy);

/* Frees what a name owns. */
void name_release(struct name *name);
