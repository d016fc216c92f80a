#include "control/answer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>

#define TTL_MIN_S 1
#define TTL_MAX_S 300

static bool contains(const struct answer *answer, const struct addr *addr)
{
    for (size_t i = 0; i < answer->n; i++) {
        if (addr_equal(&answer->addrs[i], addr)) {
            return true;
        }
    }
    return false;
}

/* A TTL with its top bit set counts as 0 (RFC 2181 section 8). */
static uint32_t ttl_of(int record_ttl)
{
    return record_ttl > 0 ? (uint32_t)record_ttl : 0;
}

static uint32_t lesser_ttl(uint32_t ttl_s, int record_ttl)
{
    uint32_t here = ttl_of(record_ttl);
    return here < ttl_s ? here : ttl_s;
}

/* The next node of one family from `node` on. */
static const struct ares_addrinfo_node *next_of(const struct ares_addrinfo_node *node, bool is_six)
{
    while (node != NULL && (node->ai_family == AF_INET6) != is_six) {
        node = node->ai_next;
    }
    return node;
}

static void add(struct answer *answer, const struct ares_addrinfo_node *node)
{
    struct addr addr;
    if (answer->n < ANSWER_MAX && addr_from_sockaddr(node->ai_addr, node->ai_addrlen, &addr) == 0 &&
        !contains(answer, &addr)) {
        answer->ttls_s[answer->n] = ttl_of(node->ai_ttl);
        answer->addrs[answer->n++] = addr;
    }
}

/* Takes turns between the families for as long as both last. */
static void interleave(struct answer *answer, const struct ares_addrinfo_node *nodes)
{
    bool is_six = nodes != NULL && nodes->ai_family == AF_INET6;
    const struct ares_addrinfo_node *turn = nodes, *other = next_of(nodes, !is_six);
    while (turn != NULL || other != NULL) {
        if (turn != NULL) {
            add(answer, turn);
            turn = next_of(turn->ai_next, is_six);
        }
        const struct ares_addrinfo_node *swap = turn;
        turn = other;
        other = swap;
        is_six = !is_six;
    }
}

static uint32_t least_ttl(const struct ares_addrinfo *info)
{
    uint32_t ttl_s = UINT32_MAX;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        ttl_s = lesser_ttl(ttl_s, node->ai_ttl);
    }
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname != NULL;
         cname = cname->next) {
        ttl_s = lesser_ttl(ttl_s, cname->ttl);
    }
    return ttl_s;
}

/* True for a CNAME that leads somewhere new: each address family brings the same ones. */
static bool is_alias(const struct ares_addrinfo *info, const struct ares_addrinfo_cname *cname)
{
    const struct ares_addrinfo_cname *earlier = info->cnames;
    while (cname->name != NULL && earlier != cname &&
           (earlier->name == NULL || strcmp(earlier->name, cname->name) != 0)) {
        earlier = earlier->next;
    }
    return cname->name != NULL && earlier == cname;
}

/* Lists the names to which CNAMEs lead, or only counts their bytes when `into` is NULL. */
static size_t list_aliases(const struct ares_addrinfo *info, char *into)
{
    size_t len = 0;
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname != NULL;
         cname = cname->next) {
        if (!is_alias(info, cname)) {
            continue;
        }
        if (into != NULL) {
            stpcpy(stpcpy(into + len, len > 0 ? " " : ""), cname->name);
        }
        len += strlen(cname->name) + (len > 0 ? 1 : 0);
    }
    return len;
}

struct answer *answer_new(const struct ares_addrinfo *info)
{
    size_t n = 0;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        n++;
    }
    n = n < ANSWER_MAX ? n : ANSWER_MAX;
    /* One block, so that it is freed as one. */
    size_t fixed = sizeof(struct answer) + n * sizeof(struct addr), ttls = n * sizeof(uint32_t);
    struct answer *answer = calloc(1, fixed + ttls + list_aliases(info, NULL) + 1);
    if (answer == NULL) {
        return NULL;
    }
    answer->ttls_s = (uint32_t *)(void *)((char *)answer + fixed);
    answer->aliases = (char *)answer + fixed + ttls;
    answer->ttl_s = least_ttl(info);
    list_aliases(info, answer->aliases);
    interleave(answer, info->nodes);
    if (answer->n == 0) {
        free(answer);
        return NULL;
    }
    return answer;
}

uint64_t answer_lasts_ms(const struct answer *answer)
{
    uint32_t ttl_s = answer->ttl_s < TTL_MIN_S ? TTL_MIN_S : answer->ttl_s;
    return (uint64_t)(ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S) * 1000;
}

bool answer_same(const struct answer *a, const struct answer *b)
{
    if (a->n != b->n) {
        return false;
    }
    /* Neither holds a duplicate, so one direction is enough. */
    for (size_t i = 0; i < a->n; i++) {
        if (!contains(b, &a->addrs[i])) {
            return false;
        }
    }
    return true;
}

static const char *format_ip(const struct addr *addr, char ip[static INET6_ADDRSTRLEN])
{
    const void *bytes = addr->sa.sa_family == AF_INET ? (const void *)&addr->in.sin_addr
                                                      : (const void *)&addr->in6.sin6_addr;
    return inet_ntop(addr->sa.sa_family, bytes, ip, INET6_ADDRSTRLEN);
}

const char *answer_format(const struct answer *answer, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < answer->n && len < size; i++) {
        char ip[INET6_ADDRSTRLEN];
        len += (size_t)snprintf(text + len, size - len, "%s%s", i > 0 ? " " : "",
                                format_ip(&answer->addrs[i], ip));
    }
    return text;
}
