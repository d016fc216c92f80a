#include "base/log.h"
#include "base/problems.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "control/control.h"
#include "control/snapshot.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

/* How long the last log lines may hold up the end. */
#define LOG_PATIENCE_MS 1000

static const char help[] =
    "usage: mtls-agent run [-c FILE]\n"
    "\n"
    "Runs the agent in the foreground until SIGTERM or SIGINT, logging to stderr.\n"
    "\n"
    "  -c, --config FILE   the configuration (" CLI_DEFAULT_FILE ")\n"
    "  -h, --help          this text\n";

static void log_warning(void *ctx, bool is_error, const char *text)
{
    (void)ctx;
    if (!is_error) {
        log_message(LEVEL_WARNING, "%s", text);
    }
}

static int refuse(struct problems *problems, struct config *config)
{
    problems_print(problems, stderr, log_journal_prefix(LEVEL_ERROR),
                   log_journal_prefix(LEVEL_WARNING));
    problems_free(problems);
    config_free(config);
    return CLI_USAGE;
}

static int run(struct snapshot *snapshot, struct problems *problems)
{
    const struct config_agent *agent = &snapshot->config->agent;
    log_configure(agent->log_level, agent->log_format);
    if (log_start() < 0) {
        log_message(LEVEL_WARNING, "cannot start the log's thread: a slow reader slows the agent");
    }
    problems_each(problems, log_warning, NULL);
    problems_free(problems);
    int status = control_run(snapshot);
    snapshot_free(snapshot);
    log_stop(LOG_PATIENCE_MS);
    return status;
}

int cli_run(int argc, char **argv)
{
    struct options options;
    int status = options_parse(argc, argv, OPTIONS_RUN, help, &options);
    if (status >= 0) {
        return status;
    }
    /* Keys will be in memory: no core dump, and no other process of this user may look. */
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);

    struct problems *problems = problems_new();
    struct config *config = NULL;
    if (problems == NULL) {
        fputs("mtls-agent: out of memory\n", stderr);
        return CLI_FAULT;
    }
    struct snapshot *snapshot = snapshot_load(options.file, problems, &config);
    if (snapshot == NULL) {
        return refuse(problems, config);
    }
    return run(snapshot, problems);
}
