#include "control/target.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_LEN 512

int target_init(struct target *target, size_t id, const struct config_service *service)
{
    target->id = id;
    target->service = service;
    target->hosts = calloc(service->n_addresses, sizeof(*target->hosts));
    return target->hosts != NULL ? 0 : -1;
}

int64_t target_age_ms(const struct target *target)
{
    int64_t oldest = -1;
    for (size_t i = 0; i < target->service->n_addresses; i++) {
        int64_t age = target->hosts[i] != NULL ? host_age_ms(target->hosts[i]) : oldest;
        if (target->hosts[i] != NULL && age < 0) {
            return -1;
        }
        oldest = age > oldest ? age : oldest;
    }
    return oldest;
}

const char *target_failure(const struct target *target)
{
    const char *failure = NULL;
    for (size_t i = 0; i < target->service->n_addresses && failure == NULL; i++) {
        failure = target->hosts[i] != NULL ? host_failure(target->hosts[i]) : NULL;
    }
    return failure;
}

void target_release(struct target *target)
{
    free(target->hosts);
    endpoints_unref(target->endpoints);
}

/* The addresses of one entry, without a port. */
static const struct addr *addrs_of(const struct target *target, size_t i, struct addr *literal,
                                   size_t *ret_n)
{
    const struct host *host = target->hosts[i];
    if (host == NULL) {
        *ret_n = addr_parse_ip(target->service->addresses[i].host, 0, literal) == 0 ? 1 : 0;
        return literal;
    }
    const struct answer *answer = host_answer(host);
    *ret_n = answer != NULL ? answer->n : 0;
    return answer != NULL ? answer->addrs : NULL;
}

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    return addr_equal(&a->addr, &b->addr) && strcmp(a->host.text, b->host.text) == 0;
}

static bool contains(const struct endpoints *endpoints, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < endpoints->n; i++) {
        if (is_same_endpoint(&endpoints->list[i], endpoint)) {
            return true;
        }
    }
    return false;
}

/* Appends one address of an entry, unless it is there already. `endpoints->n` counts. */
static int add(struct endpoints *endpoints, const struct addr *addr,
               const struct config_address *address)
{
    struct endpoint endpoint = {.addr = *addr, .host = address->name};
    addr_set_port(&endpoint.addr, address->port);
    if (endpoints->n == TARGET_ENDPOINTS_MAX || contains(endpoints, &endpoint)) {
        return 0;
    }
    endpoint.host.text = strdup(address->name.text);
    if (endpoint.host.text == NULL) {
        return -1;
    }
    endpoints->list[endpoints->n++] = endpoint;
    return 0;
}

static size_t count_addrs(const struct target *target)
{
    size_t total = 0;
    for (size_t i = 0; i < target->service->n_addresses; i++) {
        struct addr literal;
        size_t n;
        addrs_of(target, i, &literal, &n);
        total += n;
    }
    return total < TARGET_ENDPOINTS_MAX ? total : TARGET_ENDPOINTS_MAX;
}

static void drop(struct endpoints **endpoints)
{
    endpoints_unref(*endpoints);
}

static struct endpoints *put_together(const struct target *target)
{
    AUTO(drop) struct endpoints *endpoints = endpoints_new(count_addrs(target));
    if (endpoints == NULL) {
        return NULL;
    }
    endpoints->n = 0;
    for (size_t i = 0; i < target->service->n_addresses; i++) {
        struct addr literal;
        size_t n;
        const struct addr *addrs = addrs_of(target, i, &literal, &n);
        for (size_t k = 0; k < n; k++) {
            if (add(endpoints, &addrs[k], &target->service->addresses[i]) < 0) {
                return NULL;
            }
        }
    }
    return cleanup_steal(endpoints);
}

/* Endpoints without any, which say why every host failed; NULL while one of them is still asked
 * for. */
static struct endpoints *nowhere(const struct target *target)
{
    char detail[DETAIL_LEN] = "";
    size_t len = 0;
    for (size_t i = 0; i < target->service->n_addresses && len < sizeof(detail); i++) {
        const char *failure = host_failure(target->hosts[i]);
        if (failure == NULL) {
            return NULL;
        }
        len += (size_t)snprintf(detail + len, sizeof(detail) - len, "%s%s: %s", i > 0 ? "; " : "",
                                target->service->addresses[i].host, failure);
    }
    struct endpoints *endpoints = endpoints_new(0);
    if (endpoints != NULL) {
        endpoints->detail = strdup(detail);
    }
    return endpoints;
}

static bool is_same(const struct endpoints *a, const struct endpoints *b)
{
    const char *a_detail = a->detail != NULL ? a->detail : "";
    const char *b_detail = b->detail != NULL ? b->detail : "";
    if (a->n != b->n || strcmp(a_detail, b_detail) != 0) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!is_same_endpoint(&a->list[i], &b->list[i])) {
            return false;
        }
    }
    return true;
}

struct endpoints *target_update(struct target *target)
{
    AUTO(drop)
    struct endpoints *now = count_addrs(target) > 0 ? put_together(target) : nowhere(target);
    if (now == NULL || (target->endpoints != NULL && is_same(now, target->endpoints))) {
        return NULL;
    }
    endpoints_unref(target->endpoints);
    target->endpoints = endpoints_ref(now);
    return cleanup_steal(now);
}
