/* What the tests of this room share: a folder with certificates and a configuration, and snapshots
 * read from it. */
#pragma once

#include "control/snapshot.h"

#include "tests/unit/certs/fixture.h"

/* What every service of these tests has, unless it says otherwise. */
#define SITE_HEAD                                                                                  \
    "[certificate gateway]\ncert = client.crt\nkey = client.key\n"                                 \
    "[defaults]\ncertificate = gateway\nca = ca.crt\naddress = 192.0.2.1:443\n"

static struct fixture_cert site_ca;

/* Writes a client certificate of that CA, with a key of its own. */
static inline void site_write_identity(const char *cert, const char *key)
{
    struct fixture_cert made = fixture_make((struct fixture_spec){.cn = "gw", .issuer = &site_ca});
    (void)unlink(cert);
    fixture_add(cert, &made);
    fixture_write_key(key, &made);
    fixture_release(&made);
}

/* Writes a CA of its own. */
static inline void site_write_ca(const char *path)
{
    struct fixture_cert made = fixture_make((struct fixture_spec){.cn = "other", .is_ca = true});
    (void)unlink(path);
    fixture_add(path, &made);
    fixture_release(&made);
}

static inline int site_enter(void **state)
{
    if (fixture_enter(state) < 0) {
        return -1;
    }
    site_ca = fixture_make((struct fixture_spec){.cn = "ca", .is_ca = true});
    fixture_add("ca.crt", &site_ca);
    site_write_identity("client.crt", "client.key");
    return 0;
}

static inline int site_leave(void **state)
{
    fixture_release(&site_ca);
    return fixture_leave(state);
}

/* Writes the configuration: SITE_HEAD and what is given here. */
__attribute__((format(printf, 1, 2))) static inline void site_configure(const char *format, ...)
{
    FILE *file = fopen("conf", "w");
    va_list args;
    assert_non_null(file);
    fputs(SITE_HEAD, file);
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    assert_int_equal(fclose(file), 0);
}

/* Reads a good configuration. */
static inline struct snapshot *site_load_beside(const struct snapshot *before,
                                                const struct ledger *ledger)
{
    struct problems *problems = problems_new();
    struct config *config = NULL;
    struct snapshot *snapshot = snapshot_load("conf", before, ledger, problems, &config);
    fixture_expect(problems, NULL);
    assert_non_null(snapshot);
    problems_free(problems);
    return snapshot;
}

/* The same where no account is kept but those of `before`. */
static inline struct snapshot *site_load(const struct snapshot *before)
{
    return site_load_beside(before, NULL);
}

/* Reads a bad one, and expects this among what was noted. */
static inline void site_refuse(const struct snapshot *before, const char *expected)
{
    struct problems *problems = problems_new();
    struct config *config = NULL;
    assert_null(snapshot_load("conf", before, NULL, problems, &config));
    fixture_expect(problems, expected);
    config_free(config);
    problems_free(problems);
}

/* The place of a service in a snapshot. */
static inline size_t site_find(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->config->n_services; i++) {
        if (strcmp(snapshot->config->services[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("there is no service %s", name);
    return SIZE_MAX;
}

static inline struct service *site_service(const struct snapshot *snapshot, const char *name)
{
    return snapshot->services[site_find(snapshot, name)];
}
