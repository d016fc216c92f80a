#include "status/route.h"

#include "base/addr.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Longer is none of ours. */
#define HOST_MAX 64

/* The host of a Host field, without port and brackets. Returns -1 for no valid one. */
static int copy_host(const char *field, char host[static HOST_MAX])
{
    bool in_brackets = field[0] == '[';
    size_t len = strcspn(field + in_brackets, in_brackets ? "]" : ":");
    const char *rest = field + in_brackets + len;
    if (len >= HOST_MAX || (in_brackets && *rest++ != ']')) {
        return -1;
    }
    bool has_port = rest[0] == ':' && rest[1 + strspn(rest + 1, "0123456789")] == '\0';
    if (rest[0] != '\0' && !has_port) {
        return -1;
    }
    memcpy(host, field + in_brackets, len);
    host[len] = '\0';
    return 0;
}

/* A page of somebody else's whose name was pointed at 127.0.0.1 (DNS rebinding) sends its own name,
 * and no browser sends none. */
static bool is_our_host(const char *field)
{
    char host[HOST_MAX];
    struct addr addr;
    if (field == NULL) {
        return true;
    }
    if (copy_host(field, host) < 0) {
        return false;
    }
    return strcasecmp(host, "localhost") == 0 ||
           (addr_parse_ip(host, 0, &addr) == 0 && addr_is_loopback(&addr));
}

static const struct {
    const char *path;
    enum route route;
} paths[] = {
    {"/", ROUTE_PAGE},          {"/status", ROUTE_STATUS}, {"/metrics", ROUTE_METRICS},
    {"/healthz", ROUTE_HEALTH}, {"/readyz", ROUTE_READY},  {"/reload", ROUTE_RELOAD},
};

static enum route find_path(const char *path)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (strcmp(path, paths[i].path) == 0) {
            return paths[i].route;
        }
    }
    return ROUTE_UNKNOWN;
}

static bool is_get(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

enum route route_find(const struct route_request *request)
{
    if (!request->is_local_socket && !is_our_host(request->host)) {
        return ROUTE_OTHER_HOST;
    }
    enum route route = find_path(request->path);
    if (route == ROUTE_UNKNOWN) {
        return route;
    }
    if (route != ROUTE_RELOAD) {
        return is_get(request->method) ? route : ROUTE_METHOD_GET;
    }
    if (strcmp(request->method, "POST") != 0) {
        return ROUTE_METHOD_POST;
    }
    return request->is_local_socket ? route : ROUTE_NOT_FROM_TCP;
}
