#include "cli/contact.h"

#include "base/parse.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"

/* ---- where ---- */

static bool is_unix(const struct addr *addr)
{
    return addr->sa.sa_family == AF_UNIX;
}

static int read_path(const char *path, struct addr *ret_addr, const char **ret_why)
{
    if (addr_from_path(path, ret_addr) < 0) {
        *ret_why = "a socket's path has 1 to 107 bytes";
        return -1;
    }
    return 0;
}

static int read_host_port(const char *text, struct addr *ret_addr, const char **ret_why)
{
    char *host;
    uint16_t port;
    if (parse_host_port(text, &host, &port, ret_why) < 0) {
        return -1;
    }
    const char *ip = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    bool is_good = addr_parse_ip(ip, port, ret_addr) == 0 && addr_is_loopback(ret_addr);
    free(host);
    *ret_why = "an agent is asked on this host: 127.0.0.1:PORT, [::1]:PORT, or a path";
    return is_good ? 0 : -1;
}

static int read_address(const char *text, struct addr *ret_addr, const char **ret_why)
{
    size_t prefix = strlen(UNIX_PREFIX);
    if (strncmp(text, UNIX_PREFIX, prefix) == 0) {
        return read_path(text + prefix, ret_addr, ret_why);
    }
    return strchr(text, '/') != NULL ? read_path(text, ret_addr, ret_why)
                                     : read_host_port(text, ret_addr, ret_why);
}

static void take_statuses(struct contact *contact, const struct config_agent *agent, bool want_unix)
{
    for (size_t i = 0; i < agent->n_status; i++) {
        const struct addr *addr = &agent->status[i].addr;
        if (addr->len > 0 && is_unix(addr) == want_unix) {
            contact->addrs[contact->n++] = *addr;
        }
    }
}

/* An error elsewhere in the file is no reason not to ask the agent, which may know better. */
static int take_config(struct contact *contact, const struct config_agent *agent)
{
    contact->addrs = calloc(agent->n_status + 1, sizeof(struct addr));
    if (contact->addrs == NULL) {
        return -1;
    }
    take_statuses(contact, agent, true);
    take_statuses(contact, agent, false);
    if (agent->n_status == 0) {
        return addr_from_path(CONTACT_STANDARD, &contact->addrs[contact->n++]);
    }
    return 0;
}

static int find_in_config(struct contact *contact)
{
    struct problems *problems = problems_new();
    struct config *config = problems != NULL ? config_load(contact->file, problems) : NULL;
    int rc = config != NULL ? take_config(contact, &config->agent) : -1;
    contact->file_error = access(contact->file, R_OK) < 0 ? errno : 0;
    contact->has_config_fault = problems != NULL && problems_errors(problems) > 0;
    config_free(config);
    problems_free(problems);
    return rc;
}

int contact_find(const char *socket, const char *file, struct contact *ret_contact,
                 const char **ret_why)
{
    struct contact contact = {.file = socket == NULL ? file : NULL};
    int rc = -1;
    *ret_why = "out of memory";
    if (socket == NULL) {
        rc = find_in_config(&contact);
    } else if ((contact.addrs = calloc(1, sizeof(struct addr))) != NULL) {
        contact.n = 1;
        rc = read_address(socket, contact.addrs, ret_why);
    }
    if (rc < 0) {
        contact_release(&contact);
        return -1;
    }
    *ret_contact = contact;
    return 0;
}

void contact_release(struct contact *contact)
{
    free(contact->addrs);
    *contact = (struct contact){0};
}

/* ---- the asking ---- */

int contact_ask(const struct contact *contact, const struct client_request *request,
                struct client_answer *ret_answer)
{
    int rc = client_ask(&contact->addrs[0], request, ret_answer);
    for (size_t i = 1; i < contact->n && rc < 0; i++) {
        struct client_answer answer;
        if (request->is_post && !is_unix(&contact->addrs[i])) {
            break; /* only UNIX sockets tell who asks, and take orders */
        }
        rc = client_ask(&contact->addrs[i], request, &answer);
        if (rc == 0) {
            client_release(ret_answer);
            *ret_answer = answer;
        }
    }
    return rc;
}

static const char *advise(const struct client_answer *answer)
{
    switch (answer->error) {
    case EACCES:
    case EPERM:
        return "run this as root, or join the group mtls-agent";
    case ENOENT:
    case ECONNREFUSED:
        return "no agent runs here: start it (systemctl start mtls-agent), or say where it is "
               "asked with -c or --socket";
    case EAGAIN:
        return "the agent takes no connection: it is stopped or overloaded; see its log";
    default:
        return answer->is_late ? "the agent is stopped or overloaded; see its log"
                               : "say where the agent is asked with -c or --socket";
    }
}

void contact_explain(const char *name, const struct contact *contact,
                     const struct client_answer *answer)
{
    char text[ADDR_TEXT_MAX];
    fprintf(stderr, "mtls-agent %s: %s: %s; %s\n", name, addr_format(&contact->addrs[0], text),
            answer->failure, advise(answer));
    if (contact->file_error != 0) {
        fprintf(stderr, "%s: %s; the standard socket was asked\n", contact->file,
                strerror(contact->file_error));
    } else if (contact->has_config_fault) {
        fprintf(stderr, "%s: has errors; see mtls-agent check\n", contact->file);
    }
}
