#include "base/cleanup.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/contact.h"
#include "cli/document.h"
#include "cli/options.h"
#include "cli/sheet.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A reload waits for the handshakes of its canaries. */
#define TIMEOUT_MS 150000L

#define LOOK_MS 10000L

static const char help[] =
    "usage: mtls-agent reload [-c FILE] [-s SOCKET]\n"
    "\n"
    "Has the running agent read its configuration anew, waits, and prints what came of it: what\n"
    "changed, or why everything stays as it was.\n"
    "\n"
    "  -c, --config FILE     the configuration that says where to ask (" CLI_DEFAULT_FILE ")\n"
    "  -s, --socket SOCKET   where to ask instead: the path of the UNIX socket of [agent] status\n"
    "  -h, --help            this text\n";

#define BY_SIGNAL "reload it by signal: systemctl kill -s HUP mtls-agent"

static int fail(const char *text)
{
    fprintf(stderr, "mtls-agent reload: %s\n", text);
    return CLI_FAULT;
}

static void print_faults(const struct document_texts *texts)
{
    const struct sheet sheet = {.out = stderr, .width = SHEET_UNLIMITED};
    for (size_t i = 0; i < texts->n; i++) {
        sheet_line(&sheet, SHEET_PLAIN, "%s", texts->list[i]);
    }
}

/* As the other subcommands tell a warning: behind its place. */
static void print_warnings(const struct document_texts *texts)
{
    const struct sheet sheet = {.out = stderr, .width = SHEET_UNLIMITED};
    for (size_t i = 0; i < texts->n; i++) {
        const char *text = texts->list[i];
        const char *colon = strstr(text, ": ");
        int place = colon != NULL ? (int)(colon + 2 - text) : 0;
        sheet_line(&sheet, SHEET_PLAIN, "%.*swarning: %s", place, text, text + place);
    }
}

static int tell_refused(const struct document_reload *reload)
{
    print_faults(&reload->faults);
    fputs("mtls-agent reload: refused; the old configuration stays in force", stderr);
    if (reload->generation >= 0) {
        fprintf(stderr, " (generation %" PRId64 ")", reload->generation);
    }
    fputc('\n', stderr);
    return CLI_USAGE;
}

static int64_t or_none(int64_t n)
{
    return n == DOCUMENT_UNKNOWN ? 0 : n;
}

static int tell_done(const struct document_reload *reload)
{
    printf("reloaded: %" PRId64 " added, %" PRId64 " changed, %" PRId64 " removed, %" PRId64
           " unchanged (generation %" PRId64 ")\n",
           or_none(reload->added), or_none(reload->changed), or_none(reload->removed),
           or_none(reload->unchanged), or_none(reload->generation));
    return fflush(stdout) == 0 ? CLI_GOOD : CLI_FAULT;
}

/* Tells what an answer with a document says. */
static int tell_document(const struct client_answer *answer)
{
    const char *why;
    struct document_reload *reload = document_parse_reload(answer->body, answer->len, &why);
    if (reload == NULL) {
        return fail(why);
    }
    print_warnings(&reload->warnings);
    int status = answer->status == 200 ? tell_done(reload) : tell_refused(reload);
    document_free_reload(reload);
    return status;
}

static int tell(const struct client_answer *answer)
{
    switch (answer->status) {
    case 200:
    case 422:
        return tell_document(answer);
    case 403:
        return fail("the agent takes a reload by a UNIX socket only; name one in [agent] status, "
                    "or " BY_SIGNAL);
    case 503:
        return fail("the agent is shutting down and reloads no more");
    default:
        fprintf(stderr,
                "mtls-agent reload: the answer is HTTP %ld; what answers is not mtls-agent\n",
                answer->status);
        return CLI_FAULT;
    }
}

/* True when both are the same file, or it cannot be told. */
static bool is_same_file(const char *a, const char *b)
{
    AUTO_FREE char *real_a = a != NULL ? realpath(a, NULL) : NULL;
    AUTO_FREE char *real_b = realpath(b, NULL);
    return real_a == NULL || real_b == NULL || strcmp(real_a, real_b) == 0;
}

/* Finds out whether the agent that answers is that of the configuration which was named. Returns -1
 * after telling that it is another's. */
static int check_file(const struct contact *contact)
{
    static const struct client_request request = {.path = "/status", .timeout_ms = LOOK_MS};
    struct client_answer answer;
    const char *why;
    int rc = contact_ask(contact, &request, &answer);
    struct document *document =
        rc == 0 && answer.status == 200 ? document_parse(answer.body, answer.len, &why) : NULL;
    rc = 0;
    if (document != NULL && !is_same_file(document->file, contact->file)) {
        fprintf(stderr,
                "mtls-agent reload: the agent that answers runs with %s, not with %s; nothing was "
                "reloaded\n",
                document->file, contact->file);
        rc = -1;
    }
    document_free(document);
    client_release(&answer);
    return rc;
}

/* Where nothing can be asked, ExecReload= can still have systemd's main process told. */
static int reload_by_signal(void)
{
    const char *pid = getenv("MAINPID");
    uint64_t number;
    if (pid == NULL || parse_number(pid, 2, INT32_MAX, &number) < 0) {
        return fail("status is off in the configuration, so there is nothing to ask; " BY_SIGNAL);
    }
    if (kill((pid_t)number, SIGHUP) < 0) {
        return fail("systemd's main process cannot be told: not permitted, or gone");
    }
    puts("told by a signal, for status is off; see the log for what came of it");
    return CLI_GOOD;
}

static int reload(const struct contact *contact)
{
    static const struct client_request request = {.path = "/reload",
                                                  .is_post = true,
                                                  .timeout_ms = TIMEOUT_MS};
    struct client_answer answer;
    if (contact->n == 0) {
        return reload_by_signal();
    }
    int status = CLI_FAULT;
    if (contact_ask(contact, &request, &answer) == 0) {
        status = tell(&answer);
    } else {
        contact_explain("reload", contact, &answer);
    }
    client_release(&answer);
    return status;
}

int cli_reload(int argc, char **argv)
{
    struct options options;
    struct contact contact;
    const char *why;
    int status = options_parse(argc, argv, OPTIONS_RELOAD, help, &options);
    if (status >= 0) {
        return status;
    }
    if (contact_find(options.socket, options.file, &contact, &why) < 0) {
        fprintf(stderr, "mtls-agent reload: %s: %s\n",
                options.socket != NULL ? options.socket : options.file, why);
        return CLI_USAGE;
    }
    bool is_other =
        options.is_file_given && contact.file != NULL && contact.n > 0 && check_file(&contact) < 0;
    status = is_other ? CLI_FAULT : reload(&contact);
    contact_release(&contact);
    return status;
}
