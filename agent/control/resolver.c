#include "control/resolver.h"

#include "base/cleanup.h"
#include "config/same.h"
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
    size_t target;
    size_t address;
};

/* A distinct name and all that use it. */
struct group {
    struct resolver *resolver;
    struct host *host;
    char *users; /* for the host, until it has them */
    const struct use *uses;
    size_t n_uses;
};

/* What is resolved for one snapshot. */
struct books {
    struct target *targets; /* one for each service */
    size_t n_targets;
    struct use *uses; /* sorted by name, so that a group's stand together */
    size_t n_uses;
    struct group *groups; /* sorted by name */
    size_t n_groups;
};

struct resolver {
    uv_loop_t *loop;
    resolver_found *found;
    void *ctx;
    struct dns *dns;
    struct books books;
    struct host **leaving; /* hosts that nobody needs, whose last question is still under way */
    size_t n_leaving;
};

struct resolver_plan {
    struct resolver *resolver;
    struct books books;    /* hosts that are not the resolver's already are the plan's */
    struct host **leaving; /* room for all that may have to leave */
    bool *keeps;           /* for each group: its host is the resolver's already */
};

/* ---- news ---- */

static void update(struct resolver *resolver, struct target *target)
{
    struct endpoints *endpoints = target_update(target);
    if (endpoints != NULL) {
        resolver->found(resolver->ctx, target->id, endpoints);
    }
}

static void on_changed(void *ctx)
{
    const struct group *group = ctx;
    for (size_t i = 0; i < group->n_uses; i++) {
        update(group->resolver, &group->resolver->books.targets[group->uses[i].target]);
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
    return (left->target > right->target) - (left->target < right->target);
}

static int collect_uses(struct books *books, const struct config *config)
{
    size_t n = count_names(config);
    books->uses = calloc(n + 1, sizeof(*books->uses));
    if (books->uses == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        for (size_t k = 0; k < service->n_addresses; k++) {
            if (!service->addresses[k].is_literal) {
                books->uses[books->n_uses++] = (struct use){service->addresses[k].host, i, k};
            }
        }
    }
    qsort(books->uses, n, sizeof(*books->uses), by_name);
    return 0;
}

/* "a b c and 5 more", for the log. NULL when memory is out. */
static char *format_users(const struct books *books, const struct group *group)
{
    char text[USERS_LEN];
    size_t len = 0;
    for (size_t i = 0; i < group->n_uses; i++) {
        const char *name = books->targets[group->uses[i].target].service->name;
        if (len + strlen(name) + sizeof(" and 18446744073709551615 more") > USERS_LEN) {
            snprintf(text + len, USERS_LEN - len, " and %zu more", group->n_uses - i);
            break;
        }
        len += (size_t)snprintf(text + len, USERS_LEN - len, "%s%s", i > 0 ? " " : "", name);
    }
    return strdup(text);
}

static int group_by_name(const void *name, const void *group)
{
    return strcmp(name, host_name(((const struct group *)group)->host));
}

/* The host of that name that is asked for already, or NULL. */
static struct host *find_host(const struct books *books, const char *name)
{
    const struct group *group = books->n_groups > 0 ? bsearch(name, books->groups, books->n_groups,
                                                              sizeof(*books->groups), group_by_name)
                                                    : NULL;
    return group != NULL ? group->host : NULL;
}

/* Finds or makes the host of the plan's last group and tells its users' targets of it. */
static int settle_host(struct resolver_plan *plan, struct group *group)
{
    struct books *books = &plan->books;
    struct resolver *resolver = plan->resolver;
    const char *name = group->uses[0].name;
    group->host = find_host(&resolver->books, name);
    plan->keeps[group - books->groups] = group->host != NULL;
    if (group->host == NULL) {
        group->host = host_new(resolver->loop, resolver->dns, name);
    }
    group->users = format_users(books, group);
    for (size_t i = 0; i < group->n_uses; i++) {
        const struct use *use = &group->uses[i];
        books->targets[use->target].hosts[use->address] = group->host;
    }
    return group->host != NULL && group->users != NULL ? 0 : -1;
}

static int make_groups(struct resolver_plan *plan)
{
    struct books *books = &plan->books;
    books->groups = calloc(books->n_uses + 1, sizeof(*books->groups));
    plan->keeps = calloc(books->n_uses + 1, sizeof(*plan->keeps));
    if (books->groups == NULL || plan->keeps == NULL) {
        return -1;
    }
    size_t end;
    for (size_t i = 0; i < books->n_uses; i = end) {
        end = i + 1;
        while (end < books->n_uses && strcmp(books->uses[end].name, books->uses[i].name) == 0) {
            end++;
        }
        struct group *group = &books->groups[books->n_groups++];
        *group = (struct group){plan->resolver, NULL, NULL, &books->uses[i], end - i};
        if (settle_host(plan, group) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A service whose addresses are as they were keeps its endpoints. */
static int make_targets(struct resolver_plan *plan, const struct snapshot *next)
{
    struct books *books = &plan->books;
    const struct books *before = &plan->resolver->books;
    const struct config *config = next->config;
    books->targets = calloc(config->n_services + 1, sizeof(*books->targets));
    if (books->targets == NULL) {
        return -1;
    }
    for (size_t i = 0; i < config->n_services; i++) {
        size_t was = next->was[i];
        struct target *target = &books->targets[books->n_targets++];
        if (target_init(target, next->services[i]->id, &config->services[i]) < 0) {
            return -1;
        }
        if (was < before->n_targets && before->targets[was].endpoints != NULL &&
            same_addresses(before->targets[was].service, target->service)) {
            target->endpoints = endpoints_ref(before->targets[was].endpoints);
        }
    }
    return 0;
}

static void free_books(struct books *books)
{
    for (size_t i = 0; i < books->n_targets; i++) {
        target_release(&books->targets[i]);
    }
    for (size_t i = 0; i < books->n_groups; i++) {
        free(books->groups[i].users);
    }
    free(books->groups);
    free(books->uses);
    free(books->targets);
    *books = (struct books){0};
}

struct resolver_plan *resolver_plan(struct resolver *resolver, const struct snapshot *next)
{
    struct resolver_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL) {
        return NULL;
    }
    plan->resolver = resolver;
    plan->leaving =
        calloc(resolver->n_leaving + resolver->books.n_groups + 1, sizeof(struct host *));
    if (plan->leaving == NULL || make_targets(plan, next) < 0 ||
        collect_uses(&plan->books, next->config) < 0 || make_groups(plan) < 0) {
        return resolver_plan_free(plan);
    }
    return plan;
}

struct resolver_plan *resolver_plan_free(struct resolver_plan *plan)
{
    if (plan == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < plan->books.n_groups; i++) {
        if (!plan->keeps[i]) {
            host_free(plan->books.groups[i].host);
        }
    }
    free_books(&plan->books);
    free(plan->keeps);
    free(plan->leaving);
    free(plan);
    return NULL;
}

/* ---- from one snapshot to the next ---- */

static void see_off(struct resolver *resolver, struct host *host)
{
    if (host_is_asking(host)) {
        resolver->leaving[resolver->n_leaving++] = host;
    } else {
        host_free(host);
    }
}

/* Lets those go whose last question is over, and those whom nobody needs any more. */
static void leave_behind(struct resolver *resolver, struct resolver_plan *plan)
{
    struct host **before = resolver->leaving;
    size_t n_before = resolver->n_leaving;
    resolver->leaving = cleanup_steal(plan->leaving);
    resolver->n_leaving = 0;
    for (size_t i = 0; i < n_before; i++) {
        see_off(resolver, before[i]);
    }
    free(before);
    for (size_t i = 0; i < resolver->books.n_groups; i++) {
        struct host *host = resolver->books.groups[i].host;
        if (find_host(&plan->books, host_name(host)) != host) {
            host_leave(host);
            see_off(resolver, host);
        }
    }
}

/* Hosts that are asked for already come first: a new question may end others inside its call, and
 * what those find must go by these books. */
static void watch(struct resolver *resolver, const bool *keeps, bool are_kept)
{
    struct books *books = &resolver->books;
    for (size_t i = 0; i < books->n_groups; i++) {
        if (keeps[i] == are_kept) {
            host_set_users(books->groups[i].host, cleanup_steal(books->groups[i].users));
            host_watch(books->groups[i].host, on_changed, &books->groups[i]);
        }
    }
}

static void begin(struct resolver *resolver, const bool *keeps)
{
    struct books *books = &resolver->books;
    watch(resolver, keeps, true);
    watch(resolver, keeps, false);
    /* What needs no question, or has its answer already, is known at once. */
    for (size_t i = 0; i < books->n_targets; i++) {
        update(resolver, &books->targets[i]);
    }
}

void resolver_commit(struct resolver *resolver, struct resolver_plan *plan)
{
    leave_behind(resolver, plan);
    free_books(&resolver->books);
    resolver->books = plan->books;
    plan->books = (struct books){0};
    begin(resolver, plan->keeps);
    resolver_plan_free(plan);
}

const struct target *resolver_target(const struct resolver *resolver, size_t i)
{
    return &resolver->books.targets[i];
}

/* ---- life ---- */

struct resolver *resolver_start(uv_loop_t *loop, resolver_found *found, void *ctx)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (resolver == NULL || (resolver->dns = dns_new(loop)) == NULL) {
        free(resolver);
        return NULL;
    }
    resolver->loop = loop;
    resolver->found = found;
    resolver->ctx = ctx;
    return resolver;
}

struct resolver *resolver_stop(struct resolver *resolver)
{
    if (resolver == NULL) {
        return NULL;
    }
    dns_free(resolver->dns);
    for (size_t i = 0; i < resolver->n_leaving; i++) {
        host_free(resolver->leaving[i]);
    }
    for (size_t i = 0; i < resolver->books.n_groups; i++) {
        host_free(resolver->books.groups[i].host);
    }
    free_books(&resolver->books);
    free(resolver->leaving);
    free(resolver);
    return NULL;
}

const char *resolver_library_version(void)
{
    return dns_library_version();
}
