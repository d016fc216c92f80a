#include "control/resolver.h"

#include "control/dns.h"
#include "control/host.h"
#include "control/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_LEN 256

/* One `address` entry that is a name. */
struct use {
    const char *name;
    size_t service;
    size_t address;
};

/* A distinct name and all that use it. */
struct group {
    struct resolver *resolver;
    struct host *host;
    const struct use *uses;
    size_t n_uses;
};

struct resolver {
    resolver_found *found;
    void *ctx;
    struct dns *dns;
    struct target *targets; /* one for each service */
    size_t n_targets;
    struct use *uses; /* sorted by name, so that a group's stand together */
    size_t n_uses;
    struct group *groups;
    size_t n_groups;
};

/* ---- news ---- */

static void update(struct resolver *resolver, size_t service)
{
    struct endpoints *endpoints = target_update(&resolver->targets[service]);
    if (endpoints != NULL) {
        resolver->found(resolver->ctx, service, endpoints);
    }
}

static void on_changed(void *ctx)
{
    const struct group *group = ctx;
    for (size_t i = 0; i < group->n_uses; i++) {
        update(group->resolver, group->uses[i].service);
    }
}

/* ---- who uses which name ---- */

static size_t count_names(const struct config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_services; i++) {
        for (size_t k = 0; k < config->services[i].n_addresses; k++) {
            n += !config->services[i].addresses[k].is_literal;
        }
    }
    return n;
}

static int by_name(const void *a, const void *b)
{
    const struct use *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    if (order != 0) {
        return order;
    }
    return (left->service > right->service) - (left->service < right->service);
}

static int collect_uses(struct resolver *resolver, const struct config *config)
{
    size_t n = count_names(config);
    resolver->uses = calloc(n + 1, sizeof(*resolver->uses));
    if (resolver->uses == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        for (size_t k = 0; k < service->n_addresses; k++) {
            if (!service->addresses[k].is_literal) {
                resolver->uses[resolver->n_uses++] = (struct use){service->addresses[k].host, i, k};
            }
        }
    }
    qsort(resolver->uses, n, sizeof(*resolver->uses), by_name);
    return 0;
}

/* "a b c and 5 more", for the log. */
static void format_users(const struct resolver *resolver, const struct group *group,
                         char text[static USERS_LEN])
{
    size_t len = 0;
    for (size_t i = 0; i < group->n_uses; i++) {
        const char *name = resolver->targets[group->uses[i].service].service->name;
        if (len + strlen(name) + sizeof(" and 18446744073709551615 more") > USERS_LEN) {
            snprintf(text + len, USERS_LEN - len, " and %zu more", group->n_uses - i);
            return;
        }
        len += (size_t)snprintf(text + len, USERS_LEN - len, "%s%s", i > 0 ? " " : "", name);
    }
}

/* Makes the host of a group and tells its users' targets of it. */
static int make_host(struct resolver *resolver, uv_loop_t *loop, struct group *group)
{
    char users[USERS_LEN];
    format_users(resolver, group, users);
    group->host = host_new(loop, resolver->dns, group->uses[0].name, users);
    if (group->host == NULL) {
        return -1;
    }
    for (size_t i = 0; i < group->n_uses; i++) {
        const struct use *use = &group->uses[i];
        resolver->targets[use->service].hosts[use->address] = group->host;
    }
    return 0;
}

static int make_groups(struct resolver *resolver, uv_loop_t *loop)
{
    resolver->groups = calloc(resolver->n_uses + 1, sizeof(*resolver->groups));
    if (resolver->groups == NULL) {
        return -1;
    }
    size_t end;
    for (size_t i = 0; i < resolver->n_uses; i = end) {
        end = i + 1;
        while (end < resolver->n_uses &&
               strcmp(resolver->uses[end].name, resolver->uses[i].name) == 0) {
            end++;
        }
        struct group *group = &resolver->groups[resolver->n_groups++];
        *group = (struct group){resolver, NULL, &resolver->uses[i], end - i};
        if (make_host(resolver, loop, group) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- life ---- */

static int make_targets(struct resolver *resolver, const struct config *config)
{
    resolver->targets = calloc(config->n_services + 1, sizeof(*resolver->targets));
    if (resolver->targets == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_services; i++) {
        resolver->n_targets++;
        if (target_init(&resolver->targets[i], &config->services[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static void begin(struct resolver *resolver)
{
    /* Services that need no question are known at once. */
    for (size_t i = 0; i < resolver->n_targets; i++) {
        update(resolver, i);
    }
    for (size_t i = 0; i < resolver->n_groups; i++) {
        host_watch(resolver->groups[i].host, on_changed, &resolver->groups[i]);
    }
}

struct resolver *resolver_start(uv_loop_t *loop, const struct config *config, resolver_found *found,
                                void *ctx)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (resolver == NULL) {
        return NULL;
    }
    resolver->found = found;
    resolver->ctx = ctx;
    resolver->dns = dns_new(loop);
    if (resolver->dns == NULL || make_targets(resolver, config) < 0 ||
        collect_uses(resolver, config) < 0 || make_groups(resolver, loop) < 0) {
        return resolver_stop(resolver);
    }
    begin(resolver);
    return resolver;
}

struct resolver *resolver_stop(struct resolver *resolver)
{
    if (resolver == NULL) {
        return NULL;
    }
    dns_free(resolver->dns);
    for (size_t i = 0; i < resolver->n_groups; i++) {
        host_free(resolver->groups[i].host);
    }
    for (size_t i = 0; i < resolver->n_targets; i++) {
        target_release(&resolver->targets[i]);
    }
    free(resolver->groups);
    free(resolver->uses);
    free(resolver->targets);
    free(resolver);
    return NULL;
}

const char *resolver_library_version(void)
{
    return dns_library_version();
}
