#include "probe/probe.h"

#include "base/name.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/options.h"
#include "config/suggest.h"
#include "control/capacity.h"
#include "probe/json.h"
#include "probe/progress.h"
#include "probe/text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char help[] =
    "usage: mtls-agent probe [-c FILE] [OPTION]... [SERVICE]...\n"
    "\n"
    "Tries each service, or those that are named: DNS, TCP, TLS, verification and one HTTP "
    "request,\n"
    "and says what is wrong, whose fault it is and what to do. Needs no running agent.\n"
    "\n"
    "  -c, --config FILE     the configuration (" CLI_DEFAULT_FILE ")\n"
    "      --json            print JSON; see mtls-agent-probe(8)\n"
    "      --path PATH       what to ask for by HTTP (/)\n"
    "      --host HOST       the Host of the request (`sni`, else the host in `address`)\n"
    "      --method METHOD   its method (HEAD, then GET where that is answered with an error)\n"
    "      --no-http         send no HTTP request\n"
    "      --via-agent       send it through the running agent\n"
    "  -h, --help            this text\n";

/* What is printed while the services come in, in whatever order they do. */
struct output {
    bool in_json, in_colour;
    bool *is_done;    /* one for each service of the report */
    size_t n_printed; /* services of the report, in its order */
    bool has_progress;
    struct progress progress;
};

static int refuse(const char *text, const char *argument)
{
    fprintf(stderr, "mtls-agent probe: %s%s%s\n%s", text, argument != NULL ? ": " : "",
            argument != NULL ? argument : "", help);
    return CLI_USAGE;
}

/* True when every character of `text` is a visible one of ASCII, and none of `but`. */
static bool is_plain(const char *text, const char *but)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || strchr(but, *at) != NULL) {
            return false;
        }
    }
    return *text != '\0';
}

/* Judges a host without brackets, and frees it. */
static bool take_host(char *host)
{
    struct name name;
    const char *why;
    bool is_good = host != NULL && name_from_host(host, &name, &why) == 0;
    if (is_good) {
        name_release(&name);
    }
    free(host);
    return is_good;
}

/* A name or an address, in brackets when it is of IPv6, perhaps with a port (RFC 9110 section 7.2).
 */
static bool is_authority(const char *text)
{
    char *host;
    uint16_t port;
    const char *why;
    size_t len = strlen(text);
    if (parse_host_port(text, &host, &port, &why) == 0) {
        return take_host(host);
    }
    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        return take_host(strndup(text + 1, len - 2));
    }
    return strchr(text, ':') == NULL && take_host(strdup(text));
}

/* Returns -1 to go on, else the exit status. */
static int check_options(const struct options *options)
{
    bool has_http = options->path != NULL || options->host != NULL || options->method != NULL ||
                    options->via_agent;
    if (options->no_http && has_http) {
        return refuse("--no-http leaves nothing to do for --path, --host, --method and --via-agent",
                      NULL);
    }
    if (options->path != NULL && (options->path[0] != '/' || !is_plain(options->path, "#"))) {
        return refuse("--path begins with a slash and has no blanks", options->path);
    }
    if (options->host != NULL && !is_authority(options->host)) {
        return refuse("--host is a name or an address, perhaps with a port", options->host);
    }
    if (options->method != NULL && !is_plain(options->method, "()<>@,;:\\\"/[]?={}")) {
        return refuse("--method is a word, for example GET", options->method);
    }
    return -1;
}

/* ---- which services ---- */

static int refuse_name(const struct config *config, const char *name)
{
    struct suggest suggest = suggest_begin(name);
    for (size_t i = 0; i < config->n_services; i++) {
        suggest_offer(&suggest, config->services[i].name);
    }
    fprintf(stderr, "mtls-agent probe: %s has no service '%s'", config->files[0], name);
    if (suggest.nearest != NULL) {
        fprintf(stderr, "; did you mean '%s'?", suggest.nearest);
    }
    fputc('\n', stderr);
    return CLI_USAGE;
}

static bool choose_one(const struct config *config, const char *name, bool *chosen)
{
    for (size_t i = 0; i < config->n_services; i++) {
        if (strcmp(config->services[i].name, name) == 0) {
            chosen[i] = true;
            return true;
        }
    }
    return false;
}

/* Marks the services that are named, or all. Returns -1 to go on, else the exit status. */
static int choose(const struct config *config, const struct options *options, bool *chosen)
{
    for (size_t i = 0; options->n_names == 0 && i < config->n_services; i++) {
        chosen[i] = true;
    }
    for (int i = 0; i < options->n_names; i++) {
        if (!choose_one(config, options->names[i], chosen)) {
            return refuse_name(config, options->names[i]);
        }
    }
    return -1;
}

/* ---- what is printed ---- */

static void print_what_is_due(struct output *output, const struct report *report)
{
    while (output->n_printed < report->n_services && output->is_done[output->n_printed]) {
        if (output->n_printed > 0) {
            putchar('\n');
        }
        text_print(&report->services[output->n_printed], report->when, output->in_colour, stdout);
        output->n_printed++;
    }
    fflush(stdout);
}

static void on_heard(void *ctx, const struct report *report, size_t index)
{
    struct output *output = ctx;
    output->is_done[index] = true;
    if (output->has_progress) {
        progress_end(&output->progress);
    }
    if (!output->in_json) {
        print_what_is_due(output, report);
    }
}

static void on_waiting(void *ctx, const struct report *report)
{
    struct output *output = ctx;
    if (!output->has_progress) {
        progress_begin(&output->progress, report, stderr);
        output->has_progress = true;
    }
    progress_step(&output->progress, output->is_done);
}

/* ---- the probe ---- */

static int probe_chosen(const struct snapshot *snapshot, const struct options *options,
                        const bool *chosen, struct output *output)
{
    static const struct probe_events events = {on_heard, on_waiting};
    const struct inquiry_options inquiry = {
        .no_http = options->no_http,
        .via_agent = options->via_agent,
        .method = options->method,
        .path = options->path != NULL ? options->path : "/",
        .host = options->host,
    };
    struct report *report = probe_run(snapshot, chosen, &inquiry, &events, output);
    if (report == NULL) {
        fputs("mtls-agent probe: out of memory\n", stderr);
        return CLI_FAULT;
    }
    int rc = 0;
    if (options->json) {
        rc = json_print(report, stdout);
    } else {
        text_print_total(report, stdout);
    }
    bool is_good = report_is_good(report);
    report_free(report);
    if (rc < 0 || fflush(stdout) != 0 || ferror(stdout)) {
        fputs("mtls-agent probe: the output cannot be written: the disk is full, its reader has "
              "left, "
              "or out of memory\n",
              stderr);
        return CLI_FAULT;
    }
    return is_good ? CLI_GOOD : CLI_FAULT;
}

static bool takes_colour(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

/* `marks` has two places for each service. */
static int choose_and_probe(const struct snapshot *snapshot, const struct options *options,
                            bool *marks)
{
    bool *chosen = marks;
    struct output output = {
        .in_json = options->json,
        .in_colour = takes_colour(),
        .is_done = marks + snapshot->config->n_services,
    };
    int status = choose(snapshot->config, options, chosen);
    return status >= 0 ? status : probe_chosen(snapshot, options, chosen, &output);
}

static int probe(const struct snapshot *snapshot, const struct options *options)
{
    bool *marks = calloc(2 * snapshot->config->n_services, sizeof(*marks));
    if (marks == NULL) {
        fputs("mtls-agent probe: out of memory\n", stderr);
        return CLI_FAULT;
    }
    int status = choose_and_probe(snapshot, options, marks);
    free(marks);
    return status;
}

int cli_probe(int argc, char **argv)
{
    struct options options;
    int status = options_parse(argc, argv, OPTIONS_PROBE, help, &options);
    if (status < 0) {
        status = check_options(&options);
    }
    if (status >= 0) {
        return status;
    }
    prctl(PR_SET_DUMPABLE, 0); /* keys will be in memory */
    signal(SIGPIPE, SIG_IGN);
    capacity_raise_descriptors();
    struct snapshot *snapshot = load_snapshot("probe", options.file, &status);
    if (snapshot == NULL) {
        return status;
    }
    status = probe(snapshot, &options);
    snapshot_free(snapshot);
    return status;
}
