/* What the tests of this room share: a report made by hand, of a service that is good unless a test
 * spoils it, and what is printed of it. */
#pragma once

#include "probe/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW ((time_t)1795262400) /* 2026-11-21T12:00:00Z */
#define DAY ((time_t)86400)

#define PIN "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Nothing here is freed: it is all part of this, or constant. */
struct fixture {
    struct config_address address;
    struct config_service config;
    struct addr addrs[2];
    uint32_t ttls_s[2];
    struct inspect_facts own[2], cas[2];
    struct report_host host;
    struct report_endpoint endpoints[2];
    char *warnings[2];
    struct report_service service;
    struct report report;
};

static inline char *constant(const char *text)
{
    return (char *)(uintptr_t)text;
}

static inline struct inspect_facts certificate(const char *subject, const char *issuer, long days)
{
    return (struct inspect_facts){
        .subject = constant(subject),
        .issuer = constant(issuer),
        .names = constant(""),
        .not_before = NOW - 10 * DAY,
        .not_after = NOW + days * DAY,
    };
}

static inline void fixture_endpoint(struct fixture *fixture, struct report_endpoint *endpoint)
{
    *endpoint = (struct report_endpoint){
        .address = &fixture->address,
        .addr = fixture->addrs[endpoint - fixture->endpoints],
        .connect_us = 1200,
        .handshake_us = 25130,
        .is_established = true,
        .is_confirmed = true,
        .version = "1.3",
        .cipher = "AES-256-GCM",
        .group = constant("X25519"),
        .alpn = constant("h2"),
        .resumption = endpoint == fixture->endpoints ? RESUMPTION_WORKS : RESUMPTION_UNTRIED,
        .evidence = {.n_chain = 2,
                     .pin = PIN,
                     .asked = true,
                     .sent = true,
                     .issuer_matched = true,
                     .alert = -1},
    };
    endpoint->evidence.chain[0] = certificate("CN=api.example.com", "CN=Orders Issuing CA", 89);
    endpoint->evidence.chain[0].names = constant("dns:api.example.com, dns:orders.example.com");
    endpoint->evidence.chain[1] = certificate("CN=Orders Issuing CA", "CN=Orders Root CA", 1200);
}

static inline void fixture_dns(struct fixture *fixture)
{
    fixture->address = (struct config_address){.host = constant("api.example.com"), .port = 443};
    addr_parse_ip("192.0.2.10", 443, &fixture->addrs[0]);
    addr_parse_ip("2001:db8::10", 443, &fixture->addrs[1]);
    fixture->ttls_s[0] = fixture->ttls_s[1] = 60;
    fixture->host = (struct report_host){
        .address = &fixture->address,
        .has_ttl = true,
        .n = 1,
        .addrs = fixture->addrs,
        .ttls_s = fixture->ttls_s,
        .ttl_s = 60,
        .duration_us = 3000,
    };
}

static inline struct report_http fixture_http(const struct addr *addr)
{
    return (struct report_http){
        .was_tried = true,
        .method = constant("HEAD"),
        .url = constant("https://api.example.com/"),
        .addr = *addr,
        .status = 200,
        .is_whole = true,
        .version = "1.1",
        .server = constant("nginx"),
        .duration_us = 4250,
    };
}

static inline void fixture_set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){.config = {.name = constant("order-service")}};
    fixture_dns(fixture);
    fixture->own[0] = certificate("CN=gateway,O=Example", "CN=Clients CA", 200);
    fixture->cas[0] = certificate("CN=Orders Root CA", "CN=Orders Root CA", 3000);
    fixture_endpoint(fixture, &fixture->endpoints[0]);
    fixture->service = (struct report_service){
        .service = &fixture->config,
        .own = fixture->own,
        .n_own = 1,
        .cas = fixture->cas,
        .n_cas = 1,
        .hosts = &fixture->host,
        .n_hosts = 1,
        .endpoints = fixture->endpoints,
        .n_endpoints = 1,
        .http = fixture_http(&fixture->addrs[0]),
        .warnings = fixture->warnings,
    };
    fixture->report = (struct report){NOW, &fixture->service, 1};
}

/* The service failed, at its only endpoint, before HTTP. */
static inline void fixture_fail(struct fixture *fixture, enum reason reason, bool by_peer,
                                const char *detail)
{
    struct failure failure = {.reason = reason, .by_peer = by_peer};
    snprintf(failure.detail, sizeof(failure.detail), "%s", detail);
    fixture->service.verdict = failure;
    fixture->service.advice = reason_advice(reason);
    fixture->service.http = (struct report_http){0};
    fixture->endpoints[0].failure = failure;
    fixture->endpoints[0].is_established = false;
    fixture->endpoints[0].is_confirmed = false;
    fixture->endpoints[0].handshake_us = 0;
    fixture->endpoints[0].resumption = RESUMPTION_UNTRIED;
}

/* A stream whose text is `*ret_text` once it is closed; the caller frees it. */
static inline FILE *fixture_open(char **ret_text)
{
    static size_t size;
    FILE *out = open_memstream(ret_text, &size);
    assert_non_null(out);
    return out;
}
