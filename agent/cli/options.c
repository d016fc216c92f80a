#include "cli/options.h"

#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>

static const struct option with_dump[] = {
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {"dump", no_argument, NULL, 'd'},
    {NULL, 0, NULL, 0},
};
static const struct option without_dump[] = {
    {"config", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int options_parse(int argc, char **argv, const char *help, bool takes_dump,
                  struct options *ret_options)
{
    struct options options = {.file = CLI_DEFAULT_FILE};
    const struct option *known = takes_dump ? with_dump : without_dump;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.file = optarg;
            break;
        case 'd':
            options.dump = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_GOOD;
        default:
            fputs(help, stderr);
            return CLI_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mtls-agent %s: unexpected argument '%s'\n%s", argv[0], argv[optind], help);
        return CLI_USAGE;
    }
    *ret_options = options;
    return -1;
}
