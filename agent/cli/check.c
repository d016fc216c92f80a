#include "base/problems.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/summary.h"
#include "config/dump.h"
#include "control/snapshot.h"

#include <stdio.h>

static const char help[] =
    "usage: mtls-agent check [-c FILE] [--dump]\n"
    "\n"
    "Reads the configuration and every file it names, opens no socket, and says what is wrong or\n"
    "what the agent would do.\n"
    "\n"
    "  -c, --config FILE   the configuration (" CLI_DEFAULT_FILE ")\n"
    "      --dump          print the effective configuration, every default filled in\n"
    "  -h, --help          this text\n";

static int check(const struct options *options, struct problems *problems)
{
    struct config *config = NULL;
    struct snapshot *snapshot = snapshot_load(options->file, problems, &config);
    problems_print(problems, stderr, "", "");
    if (snapshot == NULL) {
        config_free(config);
        return CLI_USAGE;
    }
    if (options->dump) {
        dump_config(snapshot->config, stdout);
    } else {
        summary_print(snapshot, stdout);
    }
    snapshot_free(snapshot);
    return fflush(stdout) == 0 && !ferror(stdout) ? CLI_GOOD : CLI_FAULT;
}

int cli_check(int argc, char **argv)
{
    struct options options;
    int status = options_parse(argc, argv, OPTIONS_CHECK, help, &options);
    if (status >= 0) {
        return status;
    }
    struct problems *problems = problems_new();
    if (problems == NULL) {
        fputs("mtls-agent check: out of memory\n", stderr);
        return CLI_FAULT;
    }
    status = check(&options, problems);
    problems_free(problems);
    return status;
}
