#include "config/value_net.h"

#include "base/cleanup.h"
#include "base/parse.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

/* Text of user and group numbers; the largest, (uid_t)-1, means "no change" to chown(2). */
#define ID_MAX (UINT32_MAX - 1)

#define UNIX    "unix:"
#define SYSTEMD "systemd:"

/* Of FileDescriptorName=; systemd allows nearly all of ASCII, our messages and files do not. */
#define SYSTEMD_NAME_MAX 255
static const char systemd_name[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@";

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Fills the address of a UNIX socket. */
static int read_unix(const struct value *value, const char *path, struct addr *ret_addr)
{
    if (*path != '/') {
        return value_refuse(value,
                            "the path is not absolute; write unix:/run/mtls-agent/NAME.sock");
    }
    if (addr_from_path(path, ret_addr) < 0) {
        return value_refuse(value, "the path has more than 107 bytes, a UNIX socket's limit; "
                                   "shorten it");
    }
    return 0;
}

/* Fills the address of a TCP socket. */
static int read_tcp(const struct value *value, struct addr *ret_addr)
{
    AUTO_FREE char *host = NULL;
    uint16_t port;
    uint64_t ignored;
    const char *why;
    if (parse_number(value->text, 1, UINT16_MAX, &ignored) == 0) {
        return value_refuse(value, "the address is missing; write 127.0.0.1:%s", value->text);
    }
    if (parse_host_port(value->text, &host, &port, &why) < 0) {
        return value_refuse(value, "%s", why);
    }
    if (addr_parse_ip(host, port, ret_addr) < 0) {
        return value_refuse(value, "an IP address is wanted, not a name; write 127.0.0.1:%u", port);
    }
    if (ret_addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&ret_addr->in6.sin6_addr)) {
        return value_refuse(value, "this is an IPv4 address in IPv6's clothes; write it as IPv4");
    }
    return 0;
}

/* Fills the address of a socket of either kind. */
static int read_socket(const struct value *value, struct addr *ret_addr)
{
    return has_prefix(value->text, UNIX) ? read_unix(value, value->text + strlen(UNIX), ret_addr)
                                         : read_tcp(value, ret_addr);
}

/* Fills the name by which systemd hands a socket over. */
static int read_systemd(const struct value *value, const char *name, char **ret_name)
{
    size_t len = strlen(name);
    if (len == 0 || len > SYSTEMD_NAME_MAX || strspn(name, systemd_name) < len) {
        return value_refuse(value,
                            "the name of a socket has 1 to %d letters, digits and . _ - @; write "
                            "what FileDescriptorName= in the .socket unit says",
                            SYSTEMD_NAME_MAX);
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return value_refuse(value, "out of memory; free some");
    }
    *ret_name = copy;
    return 0;
}

static int read_listen(const struct value *value, void *field)
{
    struct config_listen listen = {.place = value->place};
    int result = has_prefix(value->text, SYSTEMD)
                     ? read_systemd(value, value->text + strlen(SYSTEMD), &listen.systemd)
                     : read_socket(value, &listen.addr);
    if (result == 0) {
        *(struct config_listen *)field = listen;
    }
    return result;
}

static bool write_listen(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    char listen[CONFIG_LISTEN_TEXT_MAX];
    snprintf(text, size, "%s", config_listen_format(field, listen));
    return true;
}

static void release_listen(void *field)
{
    struct config_listen *listen = field;
    free(listen->systemd);
    listen->systemd = NULL;
}

const struct value_type value_net_listen = {read_listen, write_listen, release_listen};

static int read_status(const struct value *value, void *field)
{
    /* What nobody wrote has no line. */
    struct config_status status = {.place = value->place, .is_standard = value->place.line == 0};
    if (has_prefix(value->text, SYSTEMD)) {
        return value_refuse(value, "the status endpoint takes no socket from systemd; write "
                                   "unix:/PATH or 127.0.0.1:PORT");
    }
    if (strcmp(value->text, "off") != 0 && read_socket(value, &status.addr) < 0) {
        return -1;
    }
    if (status.addr.len > 0 && !addr_is_loopback(&status.addr)) {
        return value_refuse(value,
                            "other hosts could reach it, and /metrics and /status tell about this "
                            "host; write 127.0.0.1:%u, [::1]:%u or unix:/PATH",
                            addr_port(&status.addr), addr_port(&status.addr));
    }
    *(struct config_status *)field = status;
    return 0;
}

static bool write_status(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    const struct config_status *status = field;
    char addr[ADDR_TEXT_MAX];
    snprintf(text, size, "%s", status->addr.len > 0 ? addr_format(&status->addr, addr) : "off");
    return true;
}

const struct value_type value_net_status = {read_status, write_status, NULL};

/* Refuses what is no host and port, in the words of what it looks like. */
static int refuse_other_forms(const struct value *value)
{
    if (has_prefix(value->text, "srv:")) {
        return value_unavailable(value, "srv:");
    }
    if (has_prefix(value->text, UNIX)) {
        return value_refuse(value, "a backend is reached by TCP; write HOST:PORT");
    }
    if (strstr(value->text, "://") != NULL) {
        return value_refuse(value, "this is a URL; write only HOST:PORT, as in "
                                   "api.example.com:443");
    }
    return 0;
}

static int read_address(const struct value *value, void *field)
{
    AUTO_FREE char *host = NULL;
    struct config_address address = {.place = value->place};
    const char *why;
    if (refuse_other_forms(value) < 0) {
        return -1;
    }
    if (parse_host_port(value->text, &host, &address.port, &why) < 0 ||
        name_from_host(host, &address.name, &why) < 0) {
        return value_refuse(value, "%s", why);
    }
    struct addr addr;
    if (addr_parse_ip(host, address.port, &addr) == 0) {
        address.is_literal = true;
        if (addr_is_wildcard(&addr)) {
            name_release(&address.name);
            return value_refuse(value, "no backend has the address %s; write the backend's own",
                                host);
        }
    }
    address.host = strdup(address.name.text);
    if (address.host == NULL) {
        name_release(&address.name);
        return value_refuse(value, "out of memory; free some");
    }
    *(struct config_address *)field = address;
    return 0;
}

static bool write_address(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    const struct config_address *address = field;
    bool is_v6 = strchr(address->host, ':') != NULL;
    snprintf(text, size, "%s%s%s:%u", is_v6 ? "[" : "", address->host, is_v6 ? "]" : "",
             address->port);
    return true;
}

static void release_address(void *field)
{
    struct config_address *address = field;
    free(address->host);
    name_release(&address->name);
}

const struct value_type value_net_address = {read_address, write_address, release_address};

static int read_user(const struct value *value, void *field)
{
    uint64_t id;
    if (parse_number(value->text, 0, ID_MAX, &id) < 0) {
        const struct passwd *user = getpwnam(value->text);
        if (user == NULL) {
            return value_refuse(value, "there is no such user; create it or write another");
        }
        id = user->pw_uid;
    }
    *(uid_t *)field = (uid_t)id;
    return 0;
}

static int read_group(const struct value *value, void *field)
{
    uint64_t id;
    if (parse_number(value->text, 0, ID_MAX, &id) < 0) {
        const struct group *group = getgrnam(value->text);
        if (group == NULL) {
            return value_refuse(value, "there is no such group; create it or write another");
        }
        id = group->gr_gid;
    }
    *(gid_t *)field = (gid_t)id;
    return 0;
}

static bool write_id(const struct schema_key *key, const void *field, char *text, size_t size)
{
    uint64_t id = value_get(key, field);
    snprintf(text, size, "%" PRIu64, id);
    return id <= ID_MAX;
}

const struct value_type value_net_user = {read_user, write_id, NULL};
const struct value_type value_net_group = {read_group, write_id, NULL};

static int read_mode(const struct value *value, void *field)
{
    size_t digits = strspn(value->text, "01234567");
    unsigned mode = 0;
    for (size_t i = 0; i < digits && mode <= value->key->max; i++) {
        mode = mode * 8 + (unsigned)(value->text[i] - '0');
    }
    if (digits < 3 || value->text[digits] != '\0' || mode > value->key->max) {
        return value_refuse(value,
                            "these are no permissions; write them in octal, 0000 to 0777, as "
                            "in 0660");
    }
    *(mode_t *)field = mode;
    return 0;
}

static bool write_mode(const struct schema_key *key, const void *field, char *text, size_t size)
{
    (void)key;
    snprintf(text, size, "%04o", *(const mode_t *)field);
    return true;
}

const struct value_type value_net_mode = {read_mode, write_mode, NULL};
