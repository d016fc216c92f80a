#include "config/claims.h"

#include "base/cleanup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Enough for "the service NAME". */
#define OWNER_MAX 256

/* One place to listen, and whose. */
struct claim {
    struct config_listen listen;
    const struct config_service *service; /* NULL: the status endpoint */
    size_t order;
};

static const char *name_owner(const struct claim *claim, char text[static OWNER_MAX])
{
    if (claim->service == NULL) {
        return "the status endpoint";
    }
    snprintf(text, OWNER_MAX, "the service \"%s\"", claim->service->name);
    return text;
}

/* What a listen without a port is told apart by. */
static const char *name_of(const struct config_listen *listen)
{
    bool is_unix = listen->addr.sa.sa_family == AF_UNIX;
    return listen->systemd != NULL ? listen->systemd : is_unix ? listen->addr.un.sun_path : "";
}

/* Those that may conflict are equal: they have the same port, or the same name. */
static int compare_groups(const struct claim *a, const struct claim *b)
{
    int ports = (int)addr_port(&a->listen.addr) - (int)addr_port(&b->listen.addr);
    return ports != 0 ? ports : strcmp(name_of(&a->listen), name_of(&b->listen));
}

static int compare_claims(const void *a, const void *b)
{
    const struct claim *left = a, *right = b;
    int groups = compare_groups(left, right);
    return groups != 0 ? groups : left->order < right->order ? -1 : 1;
}

/* True when both addresses cannot be had at once. IPv4 and IPv6 wildcards do not meet: sockets are
 * for one family. */
static bool meet(const struct addr *a, const struct addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b)) {
        return false;
    }
    return addr_equal(a, b) || addr_is_wildcard(a) || addr_is_wildcard(b);
}

static bool is_conflict(const struct config_listen *a, const struct config_listen *b)
{
    if (a->systemd == NULL && b->systemd == NULL) {
        return meet(&a->addr, &b->addr);
    }
    return a->systemd != NULL && b->systemd != NULL && strcmp(a->systemd, b->systemd) == 0;
}

/* Notes that `mine` was claimed before. */
static void refuse_claim(const struct claim *mine, const struct claim *other,
                         struct problems *problems)
{
    char listen[CONFIG_LISTEN_TEXT_MAX], my_name[OWNER_MAX], other_name[OWNER_MAX];
    char where[PATH_MAX + 32];
    const struct place *place = &other->listen.place;
    snprintf(where, sizeof(where), "at %s:%u", place->file, place->line);
    problems_error(problems, mine->listen.place,
                   "%s = %s of %s is taken; choose another, for it is used by %s %s",
                   mine->service != NULL ? "listen" : "status",
                   config_listen_format(&mine->listen, listen), name_owner(mine, my_name),
                   name_owner(other, other_name),
                   place->line > 0 ? where : "unless status says otherwise");
}

/* Notes the first of the earlier claims that `claims[at]` conflicts with. */
static void check_claim(const struct claim *claims, size_t first, size_t at,
                        struct problems *problems)
{
    for (size_t i = first; i < at; i++) {
        if (is_conflict(&claims[at].listen, &claims[i].listen)) {
            refuse_claim(&claims[at], &claims[i], problems);
            return;
        }
    }
}

/* True when who connects to the address is accepted by the listen. */
static bool reaches(const struct addr *addr, const struct addr *listen)
{
    return addr_equal(addr, listen) ||
           (addr_is_wildcard(listen) && addr_is_loopback(addr) && meet(addr, listen));
}

/* Notes an address that leads back to this agent: a caller there would call itself until nothing is
 * left. A name that resolves to one is bounded by max_connections. */
static void check_loop(const struct config_service *service, const struct config_address *address,
                       const struct claim *claims, size_t n, struct problems *problems)
{
    char text[ADDR_TEXT_MAX], owner[OWNER_MAX];
    struct addr addr;
    if (!address->is_literal || addr_parse_ip(address->host, address->port, &addr) < 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (reaches(&addr, &claims[i].listen.addr)) {
            problems_error(problems, address->place,
                           "address = %s of the service \"%s\" is where this agent itself listens, "
                           "for %s; give the backend's",
                           addr_format(&addr, text), service->name, name_owner(&claims[i], owner));
        }
    }
}

static void check_loops(const struct config *config, const struct claim *claims, size_t n,
                        struct problems *problems)
{
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        for (size_t j = 0; j < service->n_addresses; j++) {
            check_loop(service, &service->addresses[j], claims, n, problems);
        }
    }
}

/* The number of places, at most. */
static size_t count_claims(const struct config *config)
{
    size_t n = config->agent.n_status;
    for (size_t i = 0; i < config->n_services; i++) {
        n += config->services[i].n_listens;
    }
    return n;
}

/* Fills `claims`, those first that are right when two conflict. Returns their number. */
static size_t collect(const struct config *config, struct claim *claims)
{
    size_t n = 0;
    for (size_t i = 0; i < config->agent.n_status; i++) {
        const struct config_status *status = &config->agent.status[i];
        if (status->addr.len > 0) {
            claims[n] = (struct claim){{status->addr, NULL, status->place}, NULL, n};
            n++;
        }
    }
    for (size_t i = 0; i < config->n_services; i++) {
        const struct config_service *service = &config->services[i];
        for (size_t j = 0; j < service->n_listens; j++, n++) {
            claims[n] = (struct claim){service->listens[j], service, n};
        }
    }
    return n;
}

int claims_check(const struct config *config, struct problems *problems)
{
    AUTO_FREE struct claim *claims = calloc(count_claims(config) + 1, sizeof(*claims));
    if (claims == NULL) {
        return -1;
    }
    size_t n = collect(config, claims);
    qsort(claims, n, sizeof(*claims), compare_claims);
    for (size_t i = 1, first = 0; i < n; i++) {
        if (compare_groups(&claims[i], &claims[first]) != 0) {
            first = i;
        }
        check_claim(claims, first, i, problems);
    }
    check_loops(config, claims, n, problems);
    return 0;
}
