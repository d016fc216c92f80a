#include "cli/cli.h"
#include "cli/columns.h"
#include "cli/contact.h"
#include "cli/glance.h"
#include "cli/options.h"
#include "cli/overview.h"
#include "cli/watch.h"
#include "cli/words.h"
#include "config/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The agent answers within milliseconds. */
#define TIMEOUT_MS 10000L

static const char help[] =
    "usage: mtls-agent status [-c FILE] [OPTION]... [SERVICE]...\n"
    "\n"
    "Asks the running agent how its services are, and shows those first that fail; or all about\n"
    "those that are named.\n"
    "\n"
    "  -c, --config FILE     the configuration that says where to ask (" CLI_DEFAULT_FILE ")\n"
    "  -s, --socket SOCKET   where to ask instead: the path of a UNIX socket, or 127.0.0.1:PORT\n"
    "      --json            print JSON; see mtls-agent-status(8)\n"
    "      --watch           draw it again every two seconds, until q\n"
    "  -h, --help            this text\n";

/* What is asked for, and what was answered last. */
struct inquiry {
    const struct options *options;
    struct contact contact;
    struct document *document; /* owned; NULL: nothing yet */
    time_t answered;           /* when that was */
    bool is_lost;              /* nobody has answered since */
    char failure[128];         /* why */
};

static int refuse(const char *text)
{
    fprintf(stderr, "mtls-agent status: %s\n%s", text, help);
    return CLI_USAGE;
}

/* ---- the asking ---- */

/* Takes a new document. Returns -1, and keeps the old one, when there is none. */
static int take_answer(struct inquiry *inquiry, const struct client_answer *answer)
{
    const char *why = "what answers is not mtls-agent";
    struct document *document =
        answer->status == 200 ? document_parse(answer->body, answer->len, &why) : NULL;
    if (document == NULL) {
        snprintf(inquiry->failure, sizeof(inquiry->failure), "%s", why);
        return -1;
    }
    document_free(inquiry->document);
    inquiry->document = document;
    inquiry->answered = time(NULL);
    return 0;
}

/* Returns -1 without an answer that makes sense; tells why when `is_loud`. */
static int ask(struct inquiry *inquiry, bool is_loud)
{
    static const struct client_request request = {.path = "/status", .timeout_ms = TIMEOUT_MS};
    struct client_answer answer;
    int rc = contact_ask(&inquiry->contact, &request, &answer);
    if (rc == 0) {
        rc = take_answer(inquiry, &answer);
        snprintf(answer.failure, sizeof(answer.failure), "%s", rc < 0 ? inquiry->failure : "");
    } else {
        snprintf(inquiry->failure, sizeof(inquiry->failure), "%s", answer.failure);
    }
    if (rc < 0 && is_loud) {
        contact_explain("status", &inquiry->contact, &answer);
    }
    client_release(&answer);
    inquiry->is_lost = rc < 0;
    return rc;
}

/* ---- which services ---- */

static bool is_named(const struct document_service *service, const char *name)
{
    return service->name != NULL && strcmp(service->name, name) == 0;
}

static bool choose_one(const struct document *document, const char *name, bool *chosen)
{
    bool is_there = false;
    for (size_t i = 0; i < document->n_services; i++) {
        if (is_named(&document->services[i], name)) {
            chosen[i] = is_there = true;
        }
    }
    return is_there;
}

/* Marks the services that are named, or all. Returns the first name that there is no service of, or
 * NULL. */
static const char *choose(const struct inquiry *inquiry, bool *chosen)
{
    const struct document *document = inquiry->document;
    const char *unknown = NULL;
    for (size_t i = 0; inquiry->options->n_names == 0 && i < document->n_services; i++) {
        chosen[i] = true;
    }
    for (int i = inquiry->options->n_names - 1; i >= 0; i--) {
        const char *name = inquiry->options->names[i];
        unknown = choose_one(document, name, chosen) ? unknown : name;
    }
    return unknown;
}

static int refuse_name(const struct document *document, const char *name)
{
    struct suggest suggest = suggest_begin(name);
    for (size_t i = 0; i < document->n_services; i++) {
        if (document->services[i].name != NULL) {
            suggest_offer(&suggest, document->services[i].name);
        }
    }
    fprintf(stderr, "mtls-agent status: the agent has no service '%s'", name);
    if (suggest.nearest != NULL) {
        fprintf(stderr, "; did you mean '%s'?", suggest.nearest);
    }
    fputc('\n', stderr);
    return CLI_USAGE;
}

/* ---- once ---- */

static void print(const struct inquiry *inquiry, const bool *chosen, const struct sheet *sheet,
                  bool on_one_screen)
{
    if (inquiry->options->n_names > 0) {
        glance_print_chosen(inquiry->document, chosen, sheet);
    } else {
        glance_print(inquiry->document, sheet, on_one_screen);
    }
}

static int print_once(const struct inquiry *inquiry, const bool *chosen)
{
    const struct sheet sheet = sheet_of_stdout();
    int rc = 0;
    if (inquiry->options->json) {
        rc = document_print(inquiry->document, chosen, stdout);
    } else {
        print(inquiry, chosen, &sheet, false);
    }
    if (rc < 0 || fflush(stdout) != 0 || ferror(stdout)) {
        fputs("mtls-agent status: the output cannot be written\n", stderr);
        return CLI_FAULT;
    }
    for (size_t i = 0; i < inquiry->document->n_services; i++) {
        if (chosen[i] && overview_is_fault(&inquiry->document->services[i])) {
            return CLI_FAULT;
        }
    }
    return CLI_GOOD;
}

/* ---- again and again ---- */

static void draw_title(const struct inquiry *inquiry, const struct sheet *sheet)
{
    char age[WORDS_MAX], clock[16] = "";
    struct tm local;
    time_t now = time(NULL);
    if (localtime_r(&now, &local) != NULL) {
        strftime(clock, sizeof(clock), "%H:%M:%S", &local);
    }
    if (inquiry->is_lost) {
        sheet_line(sheet, SHEET_RED, "%s  no answer for %s: %s; this is old", clock,
                   words_age((double)(now - inquiry->answered), age), inquiry->failure);
    } else {
        sheet_line(sheet, SHEET_DIM, "%s  every 2 s; q ends", clock);
    }
}

static void draw(void *ctx, const struct sheet *sheet)
{
    struct inquiry *inquiry = ctx;
    struct sheet rest = *sheet;
    ask(inquiry, false);
    bool *chosen = calloc(inquiry->document->n_services + 1, sizeof(*chosen));
    if (chosen == NULL) {
        return;
    }
    const char *unknown = choose(inquiry, chosen);
    draw_title(inquiry, sheet);
    if (unknown != NULL) {
        sheet_line(sheet, SHEET_YELLOW, "the agent has no service '%s' any more", unknown);
    }
    rest.height -= rest.height != SHEET_UNLIMITED ? 1 : 0;
    print(inquiry, chosen, &rest, true);
    free(chosen);
}

/* ---- the subcommand ---- */

static int show(struct inquiry *inquiry)
{
    bool *chosen = calloc(inquiry->document->n_services + 1, sizeof(*chosen));
    if (chosen == NULL) {
        fputs("mtls-agent status: out of memory\n", stderr);
        return CLI_FAULT;
    }
    const char *unknown = choose(inquiry, chosen);
    int status = CLI_GOOD;
    if (unknown != NULL) {
        status = refuse_name(inquiry->document, unknown);
    } else if (inquiry->options->watch) {
        status = watch_run(draw, inquiry) == 0 ? CLI_GOOD : CLI_FAULT;
    } else {
        status = print_once(inquiry, chosen);
    }
    free(chosen);
    return status;
}

static int ask_and_show(struct inquiry *inquiry)
{
    if (inquiry->contact.n == 0) {
        fprintf(stderr,
                "mtls-agent status: status is off in %s, so there is nothing to ask; set it in "
                "[agent]\n",
                inquiry->contact.file);
        return CLI_FAULT;
    }
    return ask(inquiry, true) == 0 ? show(inquiry) : CLI_FAULT;
}

/* Returns -1 to go on, else the exit status. */
static int check_options(const struct options *options)
{
    if (options->watch && options->json) {
        return refuse("--watch draws on a terminal, and --json is for programs: take one of them");
    }
    if (options->watch && !watch_is_possible()) {
        return refuse("--watch needs a terminal; without one, call status again and again");
    }
    return -1;
}

int cli_status(int argc, char **argv)
{
    struct options options;
    struct inquiry inquiry = {.options = &options};
    const char *why;
    int status = options_parse(argc, argv, OPTIONS_STATUS, help, &options);
    if (status < 0) {
        status = check_options(&options);
    }
    if (status >= 0) {
        return status;
    }
    columns_prepare();
    if (contact_find(options.socket, options.file, &inquiry.contact, &why) < 0) {
        fprintf(stderr, "mtls-agent status: %s: %s\n",
                options.socket != NULL ? options.socket : options.file, why);
        return CLI_USAGE;
    }
    status = ask_and_show(&inquiry);
    document_free(inquiry.document);
    contact_release(&inquiry.contact);
    return status;
}
