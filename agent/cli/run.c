#include "base/cleanup.h"
#include "base/log.h"
#include "base/problems.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "config/path.h"
#include "control/control.h"
#include "control/snapshot.h"
#include "net/activation.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

/* How long the last log lines may hold up the end. */
#define LOG_PATIENCE_MS 1000

static const char help[] =
    "usage: mtls-agent run [-c FILE] [--overlap]\n"
    "\n"
    "Runs the agent in the foreground until SIGTERM or SIGINT, logging to stderr.\n"
    "\n"
    "  -c, --config FILE   the configuration (" CLI_DEFAULT_FILE ")\n"
    "      --overlap       start beside an agent that still runs: share its ports, and take its\n"
    "                      UNIX sockets over; then stop it with SIGTERM\n"
    "  -h, --help          this text\n";

static int refuse(struct problems *problems, struct config *config)
{
    problems_print(problems, stderr, log_journal_prefix(LEVEL_ERROR),
                   log_journal_prefix(LEVEL_WARNING));
    problems_free(problems);
    config_free(config);
    return CLI_USAGE;
}

static int run(struct snapshot *snapshot, struct problems *problems, const struct options *options)
{
    const struct config_agent *agent = &snapshot->config->agent;
    const char *why;
    AUTO_FREE char *file = path_absolute("", options->file, &why); /* for others to be told */
    const struct control_options control = {.file = file != NULL ? file : options->file,
                                            .overlaps = options->overlap};
    log_configure(agent->log_level, agent->log_format);
    if (log_start() < 0) {
        log_message(LEVEL_WARNING, "cannot start the log's thread: a slow reader slows the agent");
    }
    problems_log(problems, false);
    problems_free(problems);
    int status = control_run(snapshot, &control);
    log_stop(LOG_PATIENCE_MS);
    return status;
}

static void prepare_process(void)
{
    /* Keys will be in memory: no core dump, and no other process of this user may look. */
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
    /* Who asks for a reload while we start gets it when we have started. */
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hangup, NULL);
}

static int take_sockets(void)
{
    const char *why;
    if (activation_take(&why) < 0) {
        fprintf(stderr, "%smtls-agent: the sockets that systemd hands over cannot be taken: %s\n",
                log_journal_prefix(LEVEL_ERROR), why);
        return -1;
    }
    return 0;
}

int cli_run(int argc, char **argv)
{
    struct options options;
    int status = options_parse(argc, argv, OPTIONS_RUN, help, &options);
    if (status >= 0) {
        return status;
    }
    prepare_process();
    struct problems *problems = problems_new();
    struct config *config = NULL;
    if (problems == NULL) {
        fputs("mtls-agent: out of memory\n", stderr);
        return CLI_FAULT;
    }
    struct snapshot *snapshot = snapshot_load(options.file, NULL, NULL, problems, &config);
    if (snapshot == NULL) {
        return refuse(problems, config);
    }
    if (take_sockets() < 0) {
        problems_free(problems);
        snapshot_free(snapshot);
        return CLI_FAULT;
    }
    return run(snapshot, problems, &options);
}
