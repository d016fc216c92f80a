/* Who a certificate is for, who issued it, and until when: for people and for checks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct inspect_facts {
    char *subject; /* RFC 4514; "" when empty */
    char *issuer;
    char *names; /* "dns:a.example.com, uri:spiffe://b" of its subjectAltName; "" when empty */
    time_t not_before, not_after;
    bool is_ca;
    bool is_for_clients; /* its extended key usage, if it has one, names TLS clients: "any" is not
                          * enough for OpenSSL */
};

/* Whole days from `now` until `not_after`; negative when that has passed. */
long inspect_days_left(const struct inspect_facts *facts, time_t now);

/* Frees what the facts own. */
void inspect_release(struct inspect_facts *facts);
