/* What the tests of this room share: a view made by hand, with a service in each state. */
#pragma once

#include "base/clock.h"
#include "status/view.h"
#include "status/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW    ((time_t)1795262400) /* 2026-11-21T12:00:00Z */
#define DAY    ((time_t)86400)
#define NOW_MS UINT64_C(90000000) /* 25 hours after the machine's start */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ORDERS, PAYMENTS, INVENTORY, MESH, LEDGER, N_SERVICES };

/* Nothing but the accounts and the endpoints is to be freed. */
struct fixture {
    struct inspect_facts chain[2], mesh_chain[1], cas[2], other_cas[1];
    struct view_identity identities[2];
    struct view_crl crls[2];
    struct view_trust trusts[2];
    struct config_listen listens[N_SERVICES];
    struct config_address addresses[N_SERVICES];
    struct config_service configs[N_SERVICES];
    struct view_service services[N_SERVICES];
    struct endpoints *endpoints;
    const char *faults[1];
    struct view view;
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

static inline void fixture_certificates(struct fixture *fixture)
{
    fixture->chain[0] = certificate("CN=gateway", "CN=Clients Issuing CA", 81);
    fixture->chain[1] = certificate("CN=Clients Issuing CA", "CN=Clients CA", 1200);
    fixture->mesh_chain[0] = certificate("O=mesh", "CN=Mesh CA", 2);
    fixture->identities[0] = (struct view_identity){
        .name = "gateway",
        .path = "/etc/mtls-agent/pki/client.crt",
        .chain = fixture->chain,
        .n_chain = 2,
    };
    fixture->identities[1] = (struct view_identity){
        .name = "mesh",
        .path = "/etc/mtls-agent/pki/mesh.crt",
        .chain = fixture->mesh_chain,
        .n_chain = 1,
        .problem = "the key does not belong to the certificate",
    };
}

static inline void fixture_trusts(struct fixture *fixture)
{
    fixture->cas[0] = certificate("CN=Orders CA", "CN=Orders CA", 3000);
    fixture->cas[1] = certificate("CN=Orders CA", "CN=Orders CA", 12); /* the one it replaces */
    fixture->other_cas[0] = certificate("CN=Payments CA", "CN=Payments CA", 400);
    fixture->crls[0] =
        (struct view_crl){"/etc/mtls-agent/pki/orders.crl", "CN=Orders CA", NOW + 6 * DAY};
    fixture->crls[1] = (struct view_crl){"http://pki.example.com/orders.crl", "", 0};
    fixture->trusts[0] = (struct view_trust){
        .path = "/etc/mtls-agent/pki/orders-ca.crt",
        .cas = fixture->cas,
        .n_cas = 2,
        .crls = fixture->crls,
        .n_crls = 2,
    };
    fixture->trusts[1] = (struct view_trust){
        .path = "/etc/mtls-agent/pki/payments-ca.crt",
        .cas = fixture->other_cas,
        .n_cas = 1,
    };
}

static inline void fixture_service(struct fixture *fixture, size_t i, const char *name,
                                   const char *host, enum view_state state)
{
    fixture->listens[i].addr = (struct addr){0};
    assert_int_equal(addr_parse_ip("127.0.0.1", (uint16_t)(9001 + i), &fixture->listens[i].addr),
                     0);
    fixture->addresses[i] = (struct config_address){.host = constant(host), .port = 443};
    fixture->configs[i] = (struct config_service){
        .name = constant(name),
        .listens = &fixture->listens[i],
        .n_listens = 1,
        .addresses = &fixture->addresses[i],
        .n_addresses = 1,
        .presents_certificate = true,
        .ca.path = constant(fixture->trusts[0].path),
        .max_connections = 10000,
    };
    fixture->services[i] = (struct view_service){
        .config = &fixture->configs[i],
        .account = account_new(name),
        .state = state,
        .identity = &fixture->identities[0],
        .trust = &fixture->trusts[0],
        .endpoints = fixture->endpoints,
        .dns_age_ms = 12345,
    };
}

static inline void fixture_fail(struct account *account, enum reason reason, uint64_t age_ms,
                                const char *detail)
{
    struct failure failure;
    failure_set(&failure, reason, "%s", detail);
    account_note_failure(account, &failure);
    atomic_store(&account->failed_ms, NOW_MS - age_ms);
    tally_add(account->attempts, reason, true);
    tally_add(account->connections, reason, true);
}

static inline void fixture_traffic(struct account *account)
{
    account->open = 3;
    account->opened = 120;
    account->sent = 3210987;
    account->received = 987654321;
    account->full = 100;
    account->resumed = 20;
    account->backend_not_after = NOW + 45 * DAY;
    account->succeeded_ms = NOW_MS - 2000;
    account->warm.ready = 4;
    account->warm.used = 90;
    account->warm.aged = 7;
    account->warm.closed = 1;
    account->warm.failed = 2;
    account->warm.dropped = 3;
    for (unsigned i = 0; i < 117; i++) {
        tally_add(account->connections, REASON_ok, false);
        histogram_add(&account->connecting, 700 + 10 * i);
        histogram_add(&account->handshaking, 3000 + 100 * i);
    }
    histogram_add(&account->handshaking, 11000000);
}

static inline void fixture_services(struct fixture *fixture)
{
    fixture->endpoints = endpoints_new(2);
    assert_non_null(fixture->endpoints);
    addr_parse_ip("192.0.2.10", 443, &fixture->endpoints->list[0].addr);
    addr_parse_ip("2001:db8::10", 443, &fixture->endpoints->list[1].addr);
    fixture_service(fixture, ORDERS, "orders", "api.example.com", VIEW_OK);
    fixture_service(fixture, PAYMENTS, "payments", "pay.example.com", VIEW_FAILING);
    fixture_service(fixture, INVENTORY, "inventory", "2001:db8::10", VIEW_UNUSED);
    fixture_service(fixture, MESH, "mesh", "mesh.example.com", VIEW_RESOLVING);
    fixture_service(fixture, LEDGER, "ledger", "ledger.example.com", VIEW_NO_ADDRESS);
    fixture_traffic(fixture->services[ORDERS].account);
    fixture_traffic(fixture->services[PAYMENTS].account);
    fixture_fail(fixture->services[PAYMENTS].account, REASON_client_cert_untrusted, 61000,
                 "the backend sent alert 48 (CA is unknown); it accepts certificates issued by "
                 "CN=Partners CA; ours is issued by CN=Clients Issuing CA");
    fixture->services[PAYMENTS].trust = &fixture->trusts[1];
    fixture->services[INVENTORY].dns_age_ms = -1;
    fixture->services[MESH].endpoints = NULL;
    fixture->services[MESH].dns_age_ms = -1;
    fixture->services[MESH].identity = &fixture->identities[1];
    fixture->services[LEDGER].endpoints = NULL;
    fixture->services[LEDGER].dns_age_ms = -1;
    fixture->services[LEDGER].dns_failure = "ledger.example.com: no such name";
    fixture->services[LEDGER].identity = NULL;
    fixture->services[PAYMENTS].held = "the backend refuses the new one: client_cert_untrusted";
}

static inline void fixture_fill(struct fixture *fixture)
{
    *fixture = (struct fixture){.faults = {"/etc/mtls-agent/conf.d/b.conf:3: there is no key "
                                           "'adress'; did you mean 'address'?"}};
    fixture_certificates(fixture);
    fixture_trusts(fixture);
    fixture_services(fixture);
    fixture->view = (struct view){
        .now_ms = NOW_MS,
        .now = NOW,
        .started = NOW - DAY,
        .started_ms = NOW_MS - (uint64_t)DAY * 1000,
        .workers = 2,
        .file = "/etc/mtls-agent/mtls-agent.conf",
        .generation = 3,
        .changed = NOW - 3600,
        .reload = VIEW_RELOAD_REFUSED,
        .reloaded = NOW - 60,
        .faults = fixture->faults,
        .n_faults = 1,
        .identities = fixture->identities,
        .n_identities = 2,
        .trusts = fixture->trusts,
        .n_trusts = 2,
        .services = fixture->services,
        .n_services = N_SERVICES,
    };
}

static inline void fixture_release(struct fixture *fixture)
{
    for (size_t i = 0; i < N_SERVICES; i++) {
        account_unref(fixture->services[i].account);
    }
    endpoints_unref(fixture->endpoints);
}
