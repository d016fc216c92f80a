#include "cli/cli.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/summary.h"
#include "config/dump.h"

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

static int print(const struct snapshot *snapshot, const struct options *options)
{
    if (options->dump) {
        dump_config(snapshot->config, stdout);
    } else {
        summary_print(snapshot, stdout);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? CLI_GOOD : CLI_FAULT;
}

int cli_check(int argc, char **argv)
{
    struct options options;
    int status = options_parse(argc, argv, OPTIONS_CHECK, help, &options);
    if (status >= 0) {
        return status;
    }
    struct snapshot *snapshot = load_snapshot("check", options.file, &status);
    if (snapshot == NULL) {
        return status;
    }
    status = print(snapshot, &options);
    snapshot_free(snapshot);
    return status;
}
