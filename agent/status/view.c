#include "status/view.h"

#include <stdio.h>
#include <string.h>

const char *view_state_word(enum view_state state)
{
    static const char *const words[] = {
        [VIEW_UNUSED] = "unused",         [VIEW_OK] = "ok",
        [VIEW_FAILING] = "failing",       [VIEW_RESOLVING] = "resolving",
        [VIEW_NO_ADDRESS] = "no_address",
    };
    return words[state];
}

bool view_has_address(const struct view_service *service)
{
    return service->endpoints != NULL && service->endpoints->n > 0;
}

bool view_is_prewarmed(const struct view_service *service)
{
    const struct account_warm *warm = &service->account->warm;
    const _Atomic(uint64_t) *const counts[] = {&warm->ready,  &warm->used,   &warm->aged,
                                               &warm->closed, &warm->failed, &warm->dropped};
    bool is_prewarmed = service->config->prewarm != 0;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && !is_prewarmed; i++) {
        is_prewarmed = atomic_load_explicit(counts[i], memory_order_relaxed) > 0;
    }
    return is_prewarmed;
}

bool view_is_ready(const struct view *view)
{
    bool is_ready = !view->is_draining;
    for (size_t i = 0; i < view->n_services && is_ready; i++) {
        is_ready = view_has_address(&view->services[i]);
    }
    return is_ready;
}

const struct inspect_facts *view_first_to_expire(const struct inspect_facts *facts, size_t n)
{
    const struct inspect_facts *first = n > 0 ? &facts[0] : NULL;
    for (size_t i = 1; i < n; i++) {
        first = facts[i].not_after < first->not_after ? &facts[i] : first;
    }
    return first;
}

long view_days_left(const struct view *view, time_t when)
{
    return inspect_days_left(&(struct inspect_facts){.not_after = when}, view->now);
}

time_t view_when(const struct view *view, uint64_t ms)
{
    if (ms == 0) {
        return 0;
    }
    /* What a worker has just noted may be later than `now_ms`. */
    uint64_t age_ms = view->now_ms > ms ? view->now_ms - ms : 0;
    return view->now - (time_t)(age_ms / 1000);
}

const char *view_listen(const struct config_listen *listen, char text[static VIEW_TEXT_MAX])
{
    char written[ADDR_TEXT_MAX];
    if (listen->systemd != NULL) {
        snprintf(text, VIEW_TEXT_MAX, "systemd:%s", listen->systemd);
    } else {
        snprintf(text, VIEW_TEXT_MAX, "%s", addr_format(&listen->addr, written));
    }
    return text;
}

const char *view_address(const struct config_address *address, char text[static VIEW_TEXT_MAX])
{
    bool is_ipv6 = strchr(address->host, ':') != NULL;
    snprintf(text, VIEW_TEXT_MAX, is_ipv6 ? "[%s]:%u" : "%s:%u", address->host,
             (unsigned)address->port);
    return text;
}
